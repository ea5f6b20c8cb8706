"""The documents as `make docs` has built them: whole, and in need of nobody else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from llm_stream.resources import resource, site
from llm_stream.web.pages import Pages
from llm_stream.web.site import Site

DOCUMENTS = {path.stem: path.read_text() for path in sorted(resource("docs").glob("*.md"))}
ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=\"(?:[a-z]+:)?//[^\"]*\""
    r"|url\(\s*['\"]?(?:https?:)?//[^)]*\)|@import[^;]*//"
)
INLINE = re.compile(r"<script>|<style|<[a-z][^<>]* (?:style|on[a-z]+)=\"")


@pytest.fixture(scope="module")
def built() -> Path:
    """The site, of the documents as they are."""
    found = Site(site(), DOCUMENTS).find("")
    assert found is not None, "the documents have changed since: make docs"
    return found.parent


@pytest.mark.parametrize("pattern", [ELSEWHERE, INLINE], ids=["elsewhere", "inline"])
def test_pages_are_made_of_files_of_the_site(built: Path, pattern: re.Pattern[str]) -> None:
    """No script, style, picture or font is another host's, or stands in a page."""
    files = [path for path in built.rglob("*") if path.suffix in {".html", ".css"}]
    found = {path.name: pattern.findall(path.read_text()) for path in files}

    assert {name: tags for name, tags in found.items() if tags} == {}
    assert len(files) > len(DOCUMENTS)


def test_what_pages_are_made_of_is_there(built: Path) -> None:
    """Every script, style, picture and page that one names is a file of the site."""
    named = {
        (path.name, name)
        for path in built.glob("*.html")
        for name in re.findall(r" (?:src|href)=\"([\w/.-]+)[^\"]*\"", path.read_text())
        if not name.startswith(("http", "mailto", "../"))
    }

    assert [each for each in sorted(named) if not (built / each[1]).is_file()] == []
    assert any(name.startswith("_images/") for _, name in named)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_page_has_the_anchors_of_its_document(built: Path, name: str) -> None:
    """A link into a page leads to the same heading as in the page rendered by the service."""
    rendered = Pages(resource("static"), resource("docs"), built).find(f"/docs/{name}")
    assert rendered is not None
    anchors = re.findall(r"<h\d id=\"([^\"]+)\"", rendered.content.decode())
    page = (built / f"{name}.html").read_text()

    assert [anchor for anchor in anchors if f' id="{anchor}"' not in page] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("b.md#there", ""),
        ("b.md#gone", "gone"),
        ("c.md", "c.md"),
    ],
)
def test_a_broken_link_is_an_error(tmp_path: Path, link: str, complaint: str) -> None:
    """A document or a heading that is not there ends the build, and is named."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "conf.py").write_text("extensions = ['myst_parser']\nmyst_heading_anchors = 4\n")
    (source / "index.md").write_text(f"# A\n\n[x]({link})\n\n```{{toctree}}\nb\n```\n")
    (source / "b.md").write_text("# B\n\n## There\n")
    command = ("-m", "sphinx", "--quiet", "--fail-on-warning", "-b", "dummy")
    done = subprocess.run(
        (sys.executable, *command, source, tmp_path / "out"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode == 0) == (not complaint), done.stderr
    assert complaint in done.stderr
