"""How `make docs` makes a site out of the documents beside this file: Sphinx, MyST and Furo.

The documents are plain Markdown that reads well in a repository. What Sphinx wants beyond that is
made here: the navigation out of the lists of index.md, anchors as GitHub has them, pictures of
sequence diagrams, and pages without anything inline, as the service's Content-Security-Policy asks.
"""

import hashlib
import html
import re
from pathlib import Path
from typing import Any, Final

import mmdr
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from llm_stream import __version__
from llm_stream.web.site import BUILT_FROM, LOCAL, digest

project = "llm-stream"
release = version = __version__
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_favicon = "../static/favicon.svg"
html_title = f"llm-stream {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["search.js"]
html_copy_source = False
html_show_copyright = False
html_use_index = False

HERE: Final = Path(__file__).parent
DIAGRAMS: Final = "_images"

_SECTION: Final = re.compile(r"^## (.+)\n\n((?:- \[.+\n)+)", re.MULTILINE)
_LINK: Final = re.compile(r"^- \[([^\]]+)\]\(([^)]+)\)", re.MULTILINE)
_TITLE: Final = re.compile(r"^\s*accTitle: (.+)$", re.MULTILINE)
_SIZE: Final = re.compile(r'viewBox="\S+ \S+ (\d+)\S* (\d+)')
_INLINE: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
_STYLED: Final = re.compile(r'(<[a-z]+\b[^<>]*?) style="([^"]*)"')


def navigate(_app: Sphinx, name: str, source: list[str]) -> None:
    """Each list of links in index.md is a part of the navigation, under its heading."""
    if name != "index":
        return
    for caption, links in _SECTION.findall(source[0]):
        entries = "\n".join(
            f"{title} <{link.removesuffix('.md')}>" for title, link in _LINK.findall(links)
        )
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"


class Anchors(SphinxTransform):
    """A heading's id is its anchor in the repository: problems point at `errors#too_many_runs`."""

    default_priority = 999

    def apply(self, **_kwargs: Any) -> None:
        """Put MyST's slug before the id that docutils has made of it."""
        for section in self.document.findall(nodes.section):
            slug = section.get("slug")
            if slug and slug not in section["ids"]:
                section["ids"].insert(0, slug)


class Diagrams(SphinxTransform):
    """Mermaid is drawn here, as a picture: no script has to run for it in a browser."""

    default_priority = 998

    def apply(self, **_kwargs: Any) -> None:
        """Put a picture in the place of each diagram's text."""
        for block in [*self.document.findall(nodes.literal_block)]:
            if block.get("language") != "mermaid":
                continue
            source = block.astext()
            title = _TITLE.search(source)
            if title is None:
                raise ValueError(f"{self.env.docname}: a diagram says what it shows: accTitle: ...")
            name = f"{hashlib.sha256(source.encode()).hexdigest()[:12]}.svg"
            folder = Path(self.app.outdir) / DIAGRAMS
            folder.mkdir(exist_ok=True)
            drawn = mmdr.render(source).svg()
            (folder / name).write_text(drawn)
            # With its size in the page, an anchor below it stays where it is.
            width, height = _SIZE.findall(drawn)[0]
            shown = html.escape(title[1])
            image = nodes.raw(
                "",
                f'<figure class="diagram"><img src="{DIAGRAMS}/{name}" alt="{shown}" '
                f'width="{width}" height="{height}"></figure>',
                format="html",
            )
            block.replace_self(image)


def tidy(app: Sphinx, failure: Exception | None) -> None:
    """Move what is inline into files, and say what the site was made from."""
    if failure is not None:
        return
    out = Path(app.outdir)
    styles: dict[str, str] = {}
    for page in out.glob("*.html"):
        text = _INLINE.sub(lambda found: _filed(out, found[1], found[2]), page.read_text())
        text = _STYLED.sub(lambda found: _classed(styles, *found.groups()), text)
        page.write_text(text.replace(f'href="{LOCAL}', 'href="../'))
    with (out / "_static" / "site.css").open("a") as sheet:
        sheet.writelines(f"{selector} {{ {rules} }}\n" for rules, selector in styles.items())
    for left in out.glob("_static/**/*.map"):
        left.unlink()
    documents = {path.stem: path.read_text() for path in HERE.glob("*.md")}
    (out / BUILT_FROM).write_text(digest(documents))


def _filed(out: Path, kind: str, content: str) -> str:
    """The tag that fetches what stood in the page, from a file that bears its hash."""
    suffix = {"script": "js", "style": "css"}[kind]
    name = f"_static/inline-{hashlib.sha256(content.encode()).hexdigest()[:12]}.{suffix}"
    (out / name).write_text(content)
    if kind == "script":
        return f'<script src="{name}"></script>'
    return f'<link rel="stylesheet" href="{name}">'


def _classed(styles: dict[str, str], tag: str, rules: str) -> str:
    """The tag with an attribute that a rule in the sheet goes by, in place of a style."""
    number = list(styles).index(rules) if rules in styles else len(styles)
    styles.setdefault(rules, f'[data-style="{number}"]')
    return f'{tag} data-style="{number}"'


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("source-read", navigate)
    app.connect("build-finished", tidy)
    app.add_transform(Anchors)
    app.add_transform(Diagrams)
