"""The documents tell the truth: every example runs and prints what stands below it."""

import asyncio
import re
from pathlib import Path

import pytest

from llm_stream.config import LocalSection, ModelsSection, Settings
from llm_stream.resources import resource
from llm_stream.testing.service import running_service

from .documents import examples, run, shape


@pytest.mark.slow
@pytest.mark.real_model
async def test_the_quickstart_runs(tmp_path: Path) -> None:
    """Each command of the quickstart works with the embedded model, and answers in that shape."""
    recorded = examples(resource("docs").joinpath("quickstart.md").read_text())
    settings = Settings(models=ModelsSection(plugins=()), local=LocalSection())
    async with running_service(settings) as service:
        for example in recorded:
            output = await asyncio.to_thread(run, example, service.url, tmp_path)

            assert shape(output) == shape(example.output), example.code
    assert len(recorded) == 6


@pytest.mark.slow
@pytest.mark.real_model
async def test_the_recipes_run(tmp_path: Path) -> None:
    """The thinking calls work with the embedded model, and give results of their shape."""
    recorded = examples(resource("docs").joinpath("recipes.md").read_text())
    settings = Settings(models=ModelsSection(plugins=()), local=LocalSection())
    async with running_service(settings) as service:
        for example in recorded:
            output = await asyncio.to_thread(run, example, service.url, tmp_path)

            assert output.split()[0] == example.output.split()[0] or output.startswith("-")
            assert output.strip()
    assert len(recorded) == 3


@pytest.mark.slow
def test_the_example_with_scripted_models_runs(tmp_path: Path) -> None:
    """docs/testing.md's program prints what it says."""
    (example,) = examples(resource("docs").joinpath("testing.md").read_text().replace(
        "It prints:\n\n", ""))  # fmt: skip

    assert run(example, "http://127.0.0.1:1", tmp_path).endswith(example.output)


def test_every_link_between_documents_leads_somewhere() -> None:
    """A link to /docs/name has a file docs/name.md."""
    docs = resource("docs")
    links = {
        name
        for path in docs.glob("*.md")
        for name in re.findall(r"\(/docs/([a-z-]+)[)#]", path.read_text())
    }

    assert sorted(name for name in links if not (docs / f"{name}.md").exists()) == []
