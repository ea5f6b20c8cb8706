"""The page and the documents: files of two folders, read once at start, served from memory.

Where the documents have been built (`web/site`), their pages are files of that site; else each is
rendered here when it is first asked for: all of them cost as much as half a start. So it is
with the reference, Swagger UI, which is packed.
"""

import asyncio
import gzip
import hashlib
import html
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from llm_stream.errors import NotFound
from llm_stream.web.headers import PICTURE_CSP
from llm_stream.web.site import LOCAL, Site

SCRIPT: Final = "text/javascript"

mimetypes.add_type(SCRIPT, ".js")

PAGES_CACHE: Final = "no-cache"
"""Browsers ask again each time; an ETag makes that cheap and an upgrade visible at once."""

DOCS: Final = "/docs/"
INDEX: Final = "index"
REFERENCE: Final = "/docs/api-reference"

_DOCUMENT: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} - llm-stream</title><link rel="icon" href="/static/favicon.svg">
<link rel="stylesheet" href="/static/docs.css"></head>
<body><nav>{links}</nav><main>{body}</main></body></html>
"""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file in memory; `packed`: by gzip, as nearly everybody takes it."""

    content: bytes
    content_type: str
    etag: str
    packed: bool = False


class Pages:
    """Everything a browser can fetch, by path. A request's path is only ever looked up.

    Args:
        static: folder of the page; `index.html` is also `/`.
        docs: folder of Markdown files; each is `/docs/<name>`, `index` is also `/docs`. Its folder
            `_reference` is what `/docs/api-reference` is made of.
        site: folder of what `make docs` has built of them; it need not be there.
    """

    def __init__(self, static: Path, docs: Path, site: Path) -> None:
        self.files: dict[str, StaticFile] = {}
        for path in sorted(p for p in static.rglob("*") if p.is_file()):
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            self._add("/static/" + path.relative_to(static).as_posix(), path.read_bytes(), kind)
        if "/static/index.html" in self.files:
            self.files["/"] = self.files["/static/index.html"]
        self._reference = {
            f"{DOCS}_reference/{path.name.removesuffix('.gz')}": path
            for path in docs.joinpath("_reference").glob("*.*")
        }
        if index := self._reference.pop(f"{DOCS}_reference/index.html", None):
            self._reference[REFERENCE] = index
        self._documents = {path.stem: path.read_text() for path in sorted(docs.glob("*.md"))}
        self.site = Site(site, self._documents)
        self._rendering = asyncio.Lock()
        links = ['<a href="/">page</a>', '<a href="/docs">docs</a>']
        links += [
            f'<a href="{DOCS}{name}">{html.escape(name)}</a>'
            for name in self._documents
            if name != INDEX
        ]
        self._links = " ".join(links)

    def find(self, path: str) -> StaticFile | None:
        """The file of a path, None if there is none. Blocks while it reads or renders one."""
        name = document_of(path)
        if path in self.files:
            return self.files[path]
        if path in self._reference:
            file = self._reference[path]
            kind = mimetypes.guess_type(file.name)[0] or "text/html"
            self._add(path, file.read_bytes(), kind, packed=file.suffix == ".gz")
        elif name in self._documents:
            body, title = _render(self._documents[name]), html.escape(name)
            page = _DOCUMENT.format(title=title, links=self._links, body=body)
            self._add(path, page.encode(), "text/html")
        return self.files.get(path)

    def _add(self, path: str, content: bytes, kind: str, *, packed: bool = False) -> None:
        etag = hashlib.sha256(content).hexdigest()[:16]
        self.files[path] = StaticFile(content, kind, etag, packed)

    async def get(self, request: web.Request) -> web.Response:
        """Serve one file, or 304 if the browser has it.

        Raises:
            NotFound: no file has that path (the caller's doing).
        """
        path = request.path
        found = self.files.get(path)
        if found is None and (document_of(path) in self._documents or path in self._reference):
            async with self._rendering:  # one at a time, and each once
                found = await asyncio.to_thread(self.find, path)
        if found is None:
            raise NotFound("There is nothing at this path. /docs lists what there is.")
        etag, unpacked = found.etag, False
        headers = {hdrs.CACHE_CONTROL: PAGES_CACHE}
        if found.packed:
            headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
            unpacked = "gzip" not in request.headers.get(hdrs.ACCEPT_ENCODING, "")
            if unpacked:
                etag += "-unpacked"
            else:
                headers[hdrs.CONTENT_ENCODING] = "gzip"
        headers[hdrs.ETAG] = f'"{etag}"'
        if found.content_type == SCRIPT:
            # Modules are read with CORS; these are the client, and say nothing of anybody.
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        if request.headers.get(hdrs.IF_NONE_MATCH) == headers[hdrs.ETAG]:
            return web.Response(status=304, headers=headers)
        charset = "utf-8" if found.content_type.startswith("text/") else None
        content = found.content
        if unpacked:
            content = await asyncio.to_thread(gzip.decompress, content)
        return web.Response(
            body=content, content_type=found.content_type, charset=charset, headers=headers
        )

    async def get_document(self, request: web.Request) -> web.StreamResponse:
        """Serve a file of the built site; a document as rendered here where there is none.

        Raises:
            NotFound: no file and no document has that path (the caller's doing).
        """
        asked = request.match_info.get("path")
        if self.site.looked_at:
            found = self.site.find(asked or "")
        else:
            found = await asyncio.to_thread(self.site.find, asked or "")
        if found is None:
            return await self.get(request)
        if asked is None:  # the site's links are relative to its folder
            return web.Response(status=302, headers={hdrs.LOCATION: "docs/"})
        headers = {hdrs.CACHE_CONTROL: PAGES_CACHE}
        if found.suffix == ".svg":
            headers[hdrs.CONTENT_SECURITY_POLICY] = PICTURE_CSP
        return web.FileResponse(found, headers=headers)

    def add_routes(self, app: web.Application) -> None:
        """Route `/`, `/static/...`, `/docs` and `/docs/...` here."""
        for path in ("/", "/static/{path:.+}"):
            app.router.add_get(path, self.get)
        for path in ("/docs", "/docs/{path:.*}"):
            app.router.add_get(path, self.get_document)


def document_of(path: str) -> str:
    """The name of the document at a path; "" where there cannot be one."""
    if path in {"/docs", DOCS}:
        return INDEX
    name = path.removeprefix(DOCS)
    return "" if name == path else name.removesuffix(".html")


def _render(text: str) -> str:
    """Markdown to HTML, with ids on headings so that `/docs/errors#code` finds its place."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - only for who reads a document

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(tokens[place + 1].content))
        for part in token.children or ():
            if part.type == "link_open":
                part.attrSet("href", _address(str(part.attrGet("href"))))
    rendered: str = markdown.renderer.render(tokens, markdown.options, {})
    return rendered


def anchor(heading: str) -> str:
    """A heading's id, the one that it has in a repository's viewer and on the built site."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _address(link: str) -> str:
    """Where a link of a document leads on this service."""
    if link.startswith(LOCAL):
        return link[len(LOCAL) - 1 :]
    return re.sub(r"^([a-z-]+)\.md(?=#|$)", rf"{DOCS}\1", link)
