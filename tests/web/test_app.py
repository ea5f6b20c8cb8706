"""The composition root: what is configured is what is served."""

import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from llm_stream.config import TemplatesSection
from llm_stream.recipes.prompts import TemplateFault
from llm_stream.resources import resource
from llm_stream.testing import ScriptedModel
from llm_stream.web.app import create_app
from llm_stream.web.parts import make_local, template_folder
from llm_stream.web.service import SERVICE

from ..conftest import settings


async def test_a_broken_template_stops_the_start(tmp_path: Path) -> None:
    """A service with a template it cannot use does not begin to serve."""
    (tmp_path / "bad.yaml").write_text("functions: |\n  import os\nprompt: x\n")
    broken = settings().model_copy(update={"templates": TemplatesSection(folder=str(tmp_path))})

    with pytest.raises(TemplateFault, match="functions"):
        await create_app(broken)


async def test_a_folder_of_templates_replaces_the_shipped_ones(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """Configured templates are the ones that are served."""
    (tmp_path / "mine.yaml").write_text("Say $input twice.")
    own = settings().model_copy(update={"templates": TemplatesSection(folder=str(tmp_path))})
    app = await create_app(own, [ScriptedModel("scripted")])

    assert [t.ref.name for t in app[SERVICE].prompts] == ["mine"]
    assert template_folder(own) == tmp_path
    assert template_folder(settings()) == resource("templates")


async def test_without_the_embedded_model_there_is_none() -> None:
    """`local.enabled = false` builds no engine."""
    assert make_local(settings()) is None


async def test_every_route_is_documented() -> None:
    """docs/api.md names every path the router knows, files of the page apart."""
    app = await create_app(settings(), [ScriptedModel("scripted")])
    text = resource("docs").joinpath("api.md").read_text()
    paths = {route.resource.canonical for route in app.router.routes() if route.resource}

    missing = [
        path
        for path in sorted(paths)
        if not path.startswith("/static") and path not in text and path != "/docs/{path}"
    ]
    assert missing == []


@pytest.mark.slow
def test_a_start_imports_what_it_needs() -> None:
    """Who sends no traces, reads no document, has no Redis and no plugin pays for none of it."""
    program = """
import asyncio, sys
from llm_stream.testing import ScriptedModel
from llm_stream.web.app import create_app
from tests.conftest import settings

async def main():
    app = await create_app(settings(), [ScriptedModel("scripted")])
    await app.cleanup()
    heavy = (
        "llm_stream.tracing.otel", "opentelemetry", "google", "redis", "openai", "anthropic",
        "llm_stream.web.openapi", "llm_stream.web.asyncapi", "llm_stream.web.shapes", "markdown_it",
        "numpy", "pip", "pkg_resources", "setuptools", "xllamacpp",
    )
    print([name for name in sys.modules if name.startswith(heavy)])

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"
