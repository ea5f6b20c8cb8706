"""The documents tell the truth: every example runs and prints what stands below it."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_stream.config import LocalSection, ModelsSection, Settings
from llm_stream.resources import resource
from llm_stream.testing.service import running_service

from .documents import examples, outline, run, shape


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.parametrize(
    ("name", "count", "form"), [("quickstart", 6, shape), ("recipes", 3, outline)]
)
async def test_the_examples_run(
    tmp_path: Path, name: str, count: int, form: Callable[[str], list[str]]
) -> None:
    """Each command works with the embedded model, and prints what is written in that form."""
    recorded = examples(resource("docs").joinpath(f"{name}.md").read_text())
    settings = Settings(models=ModelsSection(plugins=()), local=LocalSection())
    async with running_service(settings) as service:
        for example in recorded:
            output = await asyncio.to_thread(run, example, service.url, tmp_path)

            assert form(output), example.code
            assert form(output) == form(example.output), example.code
    assert len(recorded) == count


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
