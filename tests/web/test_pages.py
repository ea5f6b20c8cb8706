"""The page and the documents: from memory, with the headers a browser needs."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from llm_stream.resources import resource
from llm_stream.testing.service import RunningService
from llm_stream.web.pages import Pages, StaticFile


@pytest.fixture
def folders(tmp_path: Path) -> Any:
    """A page and a document."""
    static, docs = tmp_path / "static", tmp_path / "docs"
    (static / "views").mkdir(parents=True)
    docs.mkdir()
    (static / "index.html").write_text("<p>page</p>")
    (static / "views" / "card.js").write_text("export {}")
    (docs / "errors.md").write_text("# Errors\n\n### too_many_runs\n\n<script>x</script>\n")
    return static, docs


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
    first, _ = await get(http, service, "/docs")
    second, text = await get(http, service, "/docs", **{"If-None-Match": first.headers["ETag"]})

    assert second.status == 304
    assert text == ""


async def test_documents_are_rendered_with_anchors(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """A problem's `type` leads to its heading in the documents."""
    _, text = await get(http, service, "/docs/errors")

    assert '<h3 id="too_many_runs">' in text
    assert "<table>" in (await get(http, service, "/docs/protocol"))[1]


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

    assert at_start == {"/", "/static/index.html", "/static/views/card.js", "/docs"}
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


@pytest.mark.parametrize("path", ["/docs/", "/docs/gone", "errors", "/static/errors", "/docs/../x"])
def test_other_paths_are_no_documents(folders: Any, path: str) -> None:
    """Only `/docs/` and a name that was there at start is one."""
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


def test_every_shipped_document_is_rendered() -> None:
    """None of them needs a request to be found broken."""
    docs = resource("docs")
    pages = Pages(resource("static"), docs)

    for path in docs.glob("*.md"):
        page = pages.find(f"/docs/{path.stem}")
        assert page is not None
        assert b"<h1 id=" in page.content
