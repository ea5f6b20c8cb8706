"""The page and the documents: files of two folders, read once at start, served from memory.

Documents are rendered when they are first asked for: all of them cost as much as half a start.
"""

import asyncio
import hashlib
import html
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from llm_stream.errors import NotFound

SCRIPT: Final = "text/javascript"

mimetypes.add_type(SCRIPT, ".js")

PAGES_CACHE: Final = "no-cache"
"""Browsers ask again each time; an ETag makes that cheap and an upgrade visible at once."""

_DOCUMENT: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} - llm-stream</title><link rel="icon" href="/static/favicon.svg">
<link rel="stylesheet" href="/static/docs.css"></head>
<body><nav>{links}</nav><main>{body}</main></body></html>
"""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file in memory."""

    content: bytes
    content_type: str
    etag: str


class Pages:
    """Everything a browser can fetch, by path. A request's path is only ever looked up.

    Args:
        static: folder of the page; `index.html` is also `/`.
        docs: folder of Markdown files; each is `/docs/<name>`, with an index at `/docs`.
    """

    def __init__(self, static: Path, docs: Path) -> None:
        self.files: dict[str, StaticFile] = {}
        for path in sorted(p for p in static.rglob("*") if p.is_file()):
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            self._add("/static/" + path.relative_to(static).as_posix(), path.read_bytes(), kind)
        if "/static/index.html" in self.files:
            self.files["/"] = self.files["/static/index.html"]
        self._documents = {path.stem: path.read_text() for path in sorted(docs.glob("*.md"))}
        self._rendering = asyncio.Lock()
        links = ['<a href="/">page</a>', '<a href="/docs">docs</a>']
        links += [f'<a href="/docs/{name}">{html.escape(name)}</a>' for name in self._documents]
        self._links = " ".join(links)
        listing = "".join(
            f'<li><a href="/docs/{name}">{html.escape(_title(text, name))}</a></li>'
            for name, text in self._documents.items()
        )
        self._add_document("/docs", "Documentation", f"<h1>Documentation</h1><ul>{listing}</ul>")

    def find(self, path: str) -> StaticFile | None:
        """The file of a path, None if there is none. Blocks while it renders a document."""
        name = path.removeprefix("/docs/")
        if path not in self.files and path != name and name in self._documents:
            self._add_document(path, name, _render(self._documents[name]))
        return self.files.get(path)

    def _add_document(self, path: str, title: str, body: str) -> None:
        page = _DOCUMENT.format(title=html.escape(title), links=self._links, body=body)
        self._add(path, page.encode(), "text/html")

    def _add(self, path: str, content: bytes, kind: str) -> None:
        etag = hashlib.sha256(content).hexdigest()[:16]
        self.files[path] = StaticFile(content, kind, etag)

    async def get(self, request: web.Request) -> web.Response:
        """Serve one file, or 304 if the browser has it.

        Raises:
            NotFound: no file has that path (the caller's doing).
        """
        found = self.files.get(request.path)
        if found is None and request.match_info.get("name") in self._documents:
            async with self._rendering:  # one at a time, and each once
                found = await asyncio.to_thread(self.find, request.path)
        if found is None:
            raise NotFound("There is nothing at this path. /docs lists what there is.")
        headers = {hdrs.CACHE_CONTROL: PAGES_CACHE, hdrs.ETAG: f'"{found.etag}"'}
        if found.content_type == SCRIPT:
            # Modules are read with CORS; these are the client, and say nothing of anybody.
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        if request.headers.get(hdrs.IF_NONE_MATCH) == headers[hdrs.ETAG]:
            return web.Response(status=304, headers=headers)
        charset = "utf-8" if found.content_type.startswith("text/") else None
        return web.Response(
            body=found.content, content_type=found.content_type, charset=charset, headers=headers
        )

    def add_routes(self, app: web.Application) -> None:
        """Route `/`, `/static/...`, `/docs` and `/docs/...` here."""
        for path in ("/", "/docs", "/docs/{name}", "/static/{path:.+}"):
            app.router.add_get(path, self.get)


def _render(text: str) -> str:
    """Markdown to HTML, with ids on headings so that `/docs/errors#code` finds its place."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - only for who reads a document

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            words = tokens[place + 1].content.strip("`").lower()
            token.attrSet("id", "".join(c if c.isalnum() or c == "_" else "-" for c in words))
    rendered: str = markdown.renderer.render(tokens, markdown.options, {})
    return rendered


def _title(text: str, name: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else name
