"""The map of modules in docs/architecture.md, kept true: layers, sole importers, sizes, names."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

import llm_stream

PACKAGE = "llm_stream"
ROOT = Path(llm_stream.__file__).parent

DRAWING = Path(__file__).parent.parent / "docs" / "architecture.md"


def read_layers(text: str) -> tuple[list[list[str]], list[set[str]]]:
    """The layers that a document draws as `a, b > c | d`, and the sets of strangers among them.

    Imports point right. Beside the tower stand `testing`, which may import all and is imported
    by none, and the leaves `resources` and "", the package's own `__init__`.
    """
    (line,) = re.findall(r"^[\w, |]+(?: > [\w, |]+)+$", text, re.MULTILINE)
    layers = [re.split(r", | \| ", layer) for layer in line.split(" > ")]
    strangers = [set(layer.split(" | ")) for layer in line.split(" > ") if "|" in layer]
    layers[-1] += ["resources", ""]
    return [["testing"], *layers], strangers


LAYERS, STRANGERS = read_layers(DRAWING.read_text("utf-8"))

SOLE_IMPORTERS = {
    "aiohttp.web": ("web", "testing"),
    "aiohttp.client": ("client", "testing"),
    "aiohttp_sse": ("web", "testing"),
    "llm": ("models", "recipes.prompts", "history", "plugin", "testing"),
    "aiocache": ("cache",),
    "httptools": ("models.wires",),
    "opentelemetry": ("tracing.otel",),
    "redis": ("cache", "engine.redislog"),
}
"""Foreign package -> the only modules of ours that may import it."""

MAY_IMPORT_TESTING = frozenset({"cli.mocks"})
"""The command that serves the mocks; it imports them when it runs."""

SHAPELESS = frozenset(
    {"common", "core", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
)
MAX_LINES = 250
MAX_MEDIAN_LINES = 120


@dataclass(frozen=True)
class Module:
    """One file: its name below the package, what it imports of ours and of others."""

    name: str
    lines: int
    ours: frozenset[str]
    foreign: frozenset[str]

    @property
    def part(self) -> str:
        """The first component of the name, which is what a layer lists."""
        return self.name.partition(".")[0]


def read_tree(root: Path) -> dict[str, Module]:
    """Every module below `root`, by name; packages bear the name of their folder."""
    paths = {
        ".".join((*path.relative_to(root).parent.parts, path.stem)).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
    }
    if "__init__" in paths:
        paths[""] = paths.pop("__init__")
    return {name: read_module(name, path, frozenset(paths)) for name, path in paths.items()}


def read_module(name: str, path: Path, known: frozenset[str]) -> Module:
    """Parse one file; imports inside functions and for type checkers count as well."""
    text = path.read_text("utf-8")
    ours: set[str] = set()
    foreign: set[str] = set()
    tree = ast.parse(text, str(path))
    for dotted in imported(tree, name if path.stem != "__init__" else f"{name}.__init__"):
        if dotted != PACKAGE and not dotted.startswith(f"{PACKAGE}."):
            foreign.add(dotted)
            continue
        target = dotted.removeprefix(PACKAGE).removeprefix(".")
        while target not in known and target:
            target = target.rpartition(".")[0]  # a name inside a module
        ours.add(target)
    return Module(name, len(text.splitlines()), frozenset(ours - {name}), frozenset(foreign))


def imported(tree: ast.Module, name: str) -> Iterator[str]:
    """Dotted names a module imports, or reaches as attributes of an imported package."""
    packages: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            packages |= {alias.asname or alias.name: alias.name for alias in node.names}
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = [PACKAGE, *name.split(".")][: -node.level]
                base = ".".join([*above, *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in packages
        ):
            yield f"{packages[node.value.id]}.{node.attr}"


def faults(root: Path) -> list[str]:
    """What is wrong with the package at `root`, one sentence a fault, sorted."""
    tree = read_tree(root)
    found = [*cycles(tree)]
    for module in tree.values():
        found += [*arrows(module), *importers(module), *shapes(module)]
    if median(module.lines for module in tree.values()) > MAX_MEDIAN_LINES:
        found.append(f"the median module has over {MAX_MEDIAN_LINES} lines")
    return sorted(found)


def arrows(module: Module) -> Iterator[str]:
    """Imports that point up, or between strangers."""
    level = {part: number for number, layer in enumerate(LAYERS) for part in layer}
    if module.part not in level:
        yield f"{module.name} has no layer: give it one"
        return
    for target in module.ours:
        part = target.partition(".")[0]
        if part == "testing" and module.name in MAY_IMPORT_TESTING:
            continue
        strange = part != module.part and any({part, module.part} <= group for group in STRANGERS)
        if strange or level.get(part, len(LAYERS)) < level[module.part]:
            yield f"{module.name} imports {target}"


def cycles(tree: dict[str, Module]) -> Iterator[str]:
    """A ring of modules that import each other, if there is one."""
    try:
        TopologicalSorter({module.name: module.ours for module in tree.values()}).prepare()
    except CycleError as error:
        ring = error.args[1][1:]
        start = ring.index(min(ring))
        yield "cycle: " + " <- ".join([*ring[start:], *ring[:start]])


def importers(module: Module) -> Iterator[str]:
    """Foreign packages that are not this module's business."""
    for foreign in {guarded(name) for name in module.foreign} - {""}:
        if not any(
            module.name == allowed or module.name.startswith(f"{allowed}.")
            for allowed in SOLE_IMPORTERS[foreign]
        ):
            yield f"{module.name} imports {foreign}"


def guarded(dotted: str) -> str:
    """The entry of `SOLE_IMPORTERS` that an imported name belongs to, "" for none."""
    package, _, rest = dotted.partition(".")
    if package != "aiohttp":
        return package if package in SOLE_IMPORTERS else ""
    if rest.startswith("web"):
        return "aiohttp.web"
    if rest.startswith(("Client", "client", "connector", "request")) or "Connector" in rest:
        return "aiohttp.client"
    return ""


def shapes(module: Module) -> Iterator[str]:
    """Files that are too long, or named for nothing in particular."""
    if module.lines > MAX_LINES:
        yield f"{module.name} has {module.lines} lines"
    if shapeless := SHAPELESS & set(module.name.split(".")):
        yield f"{module.name}: {min(shapeless)!r} says nothing"


def test_package_is_as_drawn() -> None:
    """Every module keeps to the map in docs/architecture.md."""
    assert faults(ROOT) == []


def test_drawing_is_read() -> None:
    """Order, neighbours and strangers come out of the drawing as they went in."""
    layers, strangers = read_layers("Text.\n```\na, b > c > d | e > f\n```\nSo a > b.")

    assert layers[1:-1] == [["a", "b"], ["c"], ["d", "e"]]
    assert strangers == [{"d", "e"}]
    assert {"engine", "models"} in STRANGERS


def test_checker_sees_the_package() -> None:
    """The check above looked at real modules and real imports."""
    tree = read_tree(ROOT)

    assert {"", "config", "config.loading", "engine.run", "errors", "web.app"} <= set(tree)
    assert "config.section" in tree["config.loading"].ours
    assert "errors" in tree["engine.run"].ours
    assert guarded("aiohttp.web") in {guarded(name) for name in tree["web.app"].foreign}


GOOD = {
    "__init__": "",
    "__main__": "from llm_stream.cli import main",
    "cli": "def main():\n    from llm_stream.web.app import make\n",
    "cli/mocks": "from llm_stream.testing.server import serve",
    "config/__init__": "from llm_stream.config.loading import load",
    "config/loading": "from llm_stream.config import sections\nfrom . import sections",
    "config/sections": "",
    "errors": "import llm_stream",
    "engine/run": "from llm_stream.errors import Fault",
    "models/adapter": "import llm",
    "models/wires/connection": "from httptools import HttpResponseParser",
    "client/http": "import aiohttp\naiohttp.ClientSession()\naiohttp.hdrs",
    "recipes/prompts": "from llm.templates import Template",
    "testing/server": "from aiohttp import web\nimport llm_stream.web.app",
    "web/app": "from aiohttp import hdrs, web\nfrom llm_stream import config, errors",
}

BAD = [
    ({"errors": "from llm_stream.config import load"}, "errors imports config"),
    ({"engine/run": "import llm_stream.web.app"}, "engine.run imports web.app"),
    ({"engine/run": "from ..web import app"}, "engine.run imports web.app"),
    ({"engine/__init__": "from ..web import app"}, "engine imports web.app"),
    ({"engine/run": "def f():\n    from llm_stream.cli import main"}, "engine.run imports cli"),
    ({"engine/run": "from llm_stream.models import adapter"}, "engine.run imports models.adapter"),
    (
        {"models/adapter": "from llm_stream.engine.run import Run"},
        "models.adapter imports engine.run",
    ),
    ({"web/x": "from llm_stream.testing.server import y"}, "web.x imports testing.server"),
    ({"cli/x": "from llm_stream.testing.server import y"}, "cli.x imports testing.server"),
    ({"billing": ""}, "billing has no layer: give it one"),
    (
        {"engine/a": "from llm_stream.engine import b", "engine/b": "import llm_stream.engine.a"},
        "cycle: engine.a <- engine.b",
    ),
    ({"launcher": "from aiohttp import web"}, "launcher imports aiohttp.web"),
    ({"launcher": "import aiohttp.web as w"}, "launcher imports aiohttp.web"),
    ({"launcher": "import aiohttp\naiohttp.web.run_app"}, "launcher imports aiohttp.web"),
    ({"models/x": "from aiohttp.web_response import Response"}, "models.x imports aiohttp.web"),
    ({"web/app": "from aiohttp import ClientSession"}, "web.app imports aiohttp.client"),
    ({"web/app": "from aiohttp import TCPConnector"}, "web.app imports aiohttp.client"),
    ({"web/app": "import aiohttp as a\na.request()"}, "web.app imports aiohttp.client"),
    ({"models/x": "from aiohttp import ClientSession"}, "models.x imports aiohttp.client"),
    ({"client/x": "import httptools"}, "client.x imports httptools"),
    ({"launcher": "import aiohttp_sse"}, "launcher imports aiohttp_sse"),
    ({"recipes/generate": "import llm"}, "recipes.generate imports llm"),
    ({"web/app": "from aiocache import Cache"}, "web.app imports aiocache"),
    ({"engine/eventlog": "from redis.asyncio import Redis"}, "engine.eventlog imports redis"),
    ({"engine/run": "x = 1\n" * 251}, "engine.run has 251 lines"),
    ({"web/utils": ""}, "web.utils: 'utils' says nothing"),
    ({"web/core/app": ""}, "web.core.app: 'core' says nothing"),
    (dict.fromkeys(GOOD, "x = 1\n" * 130), "the median module has over 120 lines"),
]


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write a made-up package."""
    for name, text in files.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_checker_accepts_a_good_tree(tmp_path: Path) -> None:
    """Imports that the map allows are no faults."""
    assert faults(plant(tmp_path, GOOD)) == []


@pytest.mark.parametrize(("change", "fault"), BAD, ids=[fault for _, fault in BAD])
def test_checker_finds(change: dict[str, str], fault: str, tmp_path: Path) -> None:
    """Each kind of fault is found, and only it."""
    assert faults(plant(tmp_path, GOOD | change)) == [fault]
