"""The page and the documents: from memory, with the headers a browser needs."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llm_stream.testing.service import RunningService
from llm_stream.web.pages import Pages


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
    page = pages.files["/docs/errors"].content.decode()

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert pages.files["/static/views/card.js"].content_type == "text/javascript"
    assert pages.files["/"].content == b"<p>page</p>"
