"""The page and the documents: from memory, with the headers a browser needs."""

import asyncio
import gzip
import re
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from llm_stream.resources import resource, site
from llm_stream.testing.service import RunningService
from llm_stream.web.headers import CSP, PICTURE_CSP, set_headers
from llm_stream.web.pages import Pages, StaticFile, anchor
from llm_stream.web.site import BUILT_FROM, digest


@pytest.fixture
def folders(tmp_path: Path) -> Any:
    """A page and a document."""
    static, docs = tmp_path / "static", tmp_path / "docs"
    (static / "views").mkdir(parents=True)
    docs.mkdir()
    (static / "index.html").write_text("<p>page</p>")
    (static / "views" / "card.js").write_text("export {}")
    (docs / "errors.md").write_text("# Errors\n\n### too_many_runs\n\n<script>x</script>\n")
    return static, docs, tmp_path / "site"


@pytest.fixture
def built(folders: Any) -> Any:
    """The same, and a site that was built of the document."""
    site = folders[2]
    (site / "_images").mkdir(parents=True)
    (site / "index.html").write_text("<p>index</p>")
    (site / "errors.html").write_text("<p>built</p>")
    (site / "_images" / "a.svg").write_text("<svg/>")
    (site / BUILT_FROM).write_text(digest({"errors": (folders[1] / "errors.md").read_text()}))
    return folders


async def get(
    http: aiohttp.ClientSession, service: RunningService, path: Any, **headers: Any
) -> Any:
    """GET: response and text."""
    async with http.get(f"{service.url}{path}", headers=headers) as response:
        return response, await response.text()


async def test_the_page_and_its_security_headers(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """`/` is HTML with the strict CSP; scripts have their own type."""
    response, text = await get(http, service, "/")

    assert response.status == 200
    assert response.content_type == "text/html"
    assert "<!doctype html>" in text.lower()
    csp = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in csp
    assert "script-src 'self'" in csp
    assert "unsafe" not in csp
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"


async def test_modules_may_be_imported_from_anywhere(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """What is a script, and nothing else."""
    allowed = [
        (await get(http, service, path))[0].headers.get("Access-Control-Allow-Origin")
        for path in ("/static/client.js", "/static/client/http.js", "/", "/static/faults.json")
    ]

    assert allowed == ["*", "*", None, None]


async def test_an_unchanged_file_is_304(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """A browser that has the file gets no body again."""
    first, _ = await get(http, service, "/")
    second, text = await get(http, service, "/", **{"If-None-Match": first.headers["ETag"]})

    assert second.status == 304
    assert text == ""


async def test_a_problem_leads_to_its_heading(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """Its `type` is an anchor of the document, whether that is rendered here or was built."""
    _, text = await get(http, service, "/docs/errors")

    assert ' id="too_many_runs"' in text
    assert "<table" in (await get(http, service, "/docs/protocol"))[1]


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("`too_many_runs`", "too_many_runs"),
        ("POST /v1/generate", "post-v1generate"),
        ("Whose is what?", "whose-is-what"),
        ("A word - and more", "a-word---and-more"),
    ],
)
def test_anchors_are_those_of_a_repository(heading: str, expected: str) -> None:
    """A link that works in the viewer of a repository works here."""
    assert anchor(heading) == expected


def test_links_of_documents_lead_to_this_service(folders: Any) -> None:
    """A file beside the document is its page here; a service of the reader's is this one."""
    (folders[1] / "errors.md").write_text(
        "[a](protocol.md#events) [b](http://127.0.0.1:8080/openapi.json) [c](https://x.test/y.md)"
    )
    page = Pages(*folders).find("/docs/errors").content.decode()  # type: ignore[union-attr]

    assert 'href="/docs/protocol#events"' in page
    assert 'href="/openapi.json"' in page
    assert 'href="https://x.test/y.md"' in page


def test_html_in_documents_is_text(folders: Any) -> None:
    """Markdown may not smuggle HTML into a page."""
    pages = Pages(*folders)
    page = pages.find("/docs/errors").content.decode()  # type: ignore[union-attr]

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_files_of_the_page_are_served_as_they_are(folders: Any) -> None:
    """A script has its type, and `/` is the index."""
    files = Pages(*folders).files

    assert files["/static/views/card.js"].content_type == "text/javascript"
    assert files["/"].content == b"<p>page</p>"


def test_a_document_is_rendered_once_when_it_is_asked_for(folders: Any) -> None:
    """A start renders none; who asks again gets what was rendered."""
    pages = Pages(*folders)
    at_start = set(pages.files)
    first = pages.find("/docs/errors")

    assert at_start == {"/", "/static/index.html", "/static/views/card.js"}
    assert first is pages.find("/docs/errors")


def test_documents_stay_as_they_were_at_start(folders: Any) -> None:
    """An edit is seen by the next start, also of a document that nobody had asked for."""
    before = Pages(*folders)
    (folders[1] / "errors.md").write_text("# Faults\n")
    after = Pages(*folders)

    assert b"Errors" in before.find("/docs/errors").content  # type: ignore[union-attr]
    assert b"Faults" in after.find("/docs/errors").content  # type: ignore[union-attr]


def test_equal_files_have_equal_etags(folders: Any) -> None:
    """A browser's copy outlives a restart that changed nothing."""
    one, other = (Pages(*folders).find("/docs/errors") for _ in range(2))

    assert one == other


@pytest.mark.parametrize(
    "path", ["/docs/", "/docs/.html", "/docs/gone", "errors", "/static/errors", "/docs/../x"]
)
def test_other_paths_are_no_documents(folders: Any, path: str) -> None:
    """Only `/docs/` and a name that was there at start is one; there is no index here."""
    assert Pages(*folders).find(path) is None


async def test_first_readers_share_a_rendering_beside_the_event_loop(folders: Any) -> None:
    """Of many who ask at once one has it rendered, in a thread; all get the same."""
    rendered = []

    class Watched(Pages):
        def find(self, path: str) -> StaticFile | None:
            if path not in self.files:
                rendered.append(threading.current_thread() is threading.main_thread())
            return super().find(path)

    app = web.Application()
    Watched(*folders).add_routes(app)
    async with TestClient(TestServer(app)) as client:
        replies = await asyncio.gather(*(client.get("/docs/errors") for _ in range(8)))
        etags = {reply.headers["ETag"] for reply in replies}

    assert {reply.status for reply in replies} == {200}
    assert len(etags) == 1
    assert rendered == [False]


@pytest.fixture
async def client(request: Any, built: Any) -> Any:
    """Asks for pages of a built site."""
    app = web.Application()
    app.on_response_prepare.append(_headers)
    Pages(*built).add_routes(app)
    async with TestClient(TestServer(app)) as client:
        yield client


async def _headers(_request: web.Request, response: web.StreamResponse) -> None:
    set_headers(response.headers, "req_1")


@pytest.mark.parametrize(
    ("path", "text", "csp"),
    [
        ("/docs", "<p>index</p>", CSP),
        ("/docs/", "<p>index</p>", CSP),
        ("/docs/errors", "<p>built</p>", CSP),
        ("/docs/errors.html", "<p>built</p>", CSP),
        ("/docs/_images/a.svg", "<svg/>", PICTURE_CSP),
    ],
)
async def test_a_built_site_is_shown(client: Any, path: str, text: str, csp: str) -> None:
    """Its pages have the names of their documents; a picture may use its own styles."""
    reply = await client.get(path)

    assert await reply.text() == text
    assert reply.headers["Content-Security-Policy"] == csp
    assert reply.headers["Cache-Control"] == "no-cache"
    again = await client.get(path, headers={"If-None-Match": reply.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize("path", ["../docs/errors.md", "/etc/passwd", "_images", "."])
def test_a_built_site_is_all_there_is(built: Any, path: str) -> None:
    """Only a file that is in its folder has a path."""
    site = Pages(*built).site

    assert site.find("errors") is not None
    assert site.find(path) is None


async def test_a_site_of_other_documents_is_not_shown(built: Any) -> None:
    """Who has edited a document since sees the document."""
    (built[1] / "errors.md").write_text("# Faults")
    app = web.Application()
    Pages(*built).add_routes(app)
    async with TestClient(TestServer(app)) as client:
        text = await (await client.get("/docs/errors")).text()

    assert "Faults" in text
    assert "built" not in text


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_the_reference_is_packed_for_who_takes_it(folders: Any, coding: str) -> None:
    """Everybody gets the same, with its type; a start reads nothing of it."""
    reference = folders[1] / "_reference"
    reference.mkdir()
    (reference / "index.html").write_text("<p>reference</p>")
    (reference / "ui.js.gz").write_bytes(gzip.compress(b"show()"))
    pages = Pages(*folders)
    assert not [path for path in pages.files if "reference" in path]
    app = web.Application()
    pages.add_routes(app)
    async with TestClient(TestServer(app)) as client:
        page = await client.get("/docs/api-reference")
        script = await client.get("/docs/_reference/ui.js", headers={"Accept-Encoding": coding})

        assert (page.content_type, await page.text()) == ("text/html", "<p>reference</p>")
        assert (script.content_type, await script.text()) == ("text/javascript", "show()")
        assert script.headers.get("Content-Encoding", "identity") == coding
        assert script.headers["Vary"] == "Accept-Encoding"


def test_swagger_ui_is_what_the_script_names() -> None:
    """What is in the repository is of the version that is written down."""
    script = Path(__file__).parents[2].joinpath("scripts", "vendor-swagger-ui").read_text()
    (version,) = re.findall(r"^VERSION=(.+)$", script, re.MULTILINE)
    packed = resource("docs").joinpath("_reference", "swagger-ui-bundle.js.gz").read_bytes()

    assert f'PACKAGE_VERSION:"{version}"'.encode() in gzip.decompress(packed)


def test_every_shipped_document_is_rendered() -> None:
    """None of them needs a request to be found broken."""
    docs = resource("docs")
    pages = Pages(resource("static"), docs, site())

    for path in docs.glob("*.md"):
        page = pages.find(f"/docs/{path.stem}")
        assert page is not None
        assert b"<h1 id=" in page.content
