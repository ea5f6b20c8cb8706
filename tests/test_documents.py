"""The documents tell the truth: every example runs and prints what stands below it."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_stream.resources import resource
from llm_stream.testing.mockproviders import load_script
from llm_stream.testing.mockproviders.modelnames import KNOWN

from .documents import ExampleRunner, examples
from .documentservice import FORMS, form_of, serving

DOCS = resource("docs")


@pytest.fixture(scope="module")
def runner() -> Iterator[ExampleRunner]:
    """Its processes are started once, for all documents."""
    with ExampleRunner() as made:
        yield made


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.timeout(300)
# tests/javascript runs those of the JavaScript client, with a model that is faster.
@pytest.mark.parametrize("name", [name for name in FORMS if name != "javascript"])
async def test_the_examples_run(runner: ExampleRunner, tmp_path: Path, name: str) -> None:
    """Each command works with the embedded model, and prints what is written in its form."""
    await check_examples(name, runner, tmp_path)


@pytest.mark.slow
@pytest.mark.node
@pytest.mark.parametrize("name", [path.stem for path in sorted(DOCS.glob("api-*.md"))])
async def test_the_examples_of_the_api_run(
    runner: ExampleRunner, tmp_path: Path, name: str
) -> None:
    """Each example works with a scripted model, and prints word for word what is written."""
    await check_examples(name, runner, tmp_path)


@pytest.mark.slow
async def test_the_examples_for_tests_run(runner: ExampleRunner, tmp_path: Path) -> None:
    """docs/testing.md's programs print what it says; they bring their services with them."""
    await check_examples("testing", runner, tmp_path)


async def check_examples(name: str, runner: ExampleRunner, folder: Path) -> None:
    """Run a document's examples in order; what differs is told with the example."""
    recorded = examples(DOCS.joinpath(f"{name}.md").read_text())
    assert recorded
    async with serving(name, folder) as url:
        for example in recorded:
            output = await asyncio.to_thread(runner.run, example, url, folder)
            form = form_of(name, example)

            assert form(output), example.code
            assert form(output) == form(example.output), f"{example.code}\n{output}"


def test_the_script_in_the_document_can_be_used(tmp_path: Path) -> None:
    """docs/testing.md's script for mock providers is read without a fault."""
    text = resource("docs").joinpath("testing.md").read_text()
    path = tmp_path / "script.yaml"
    path.write_text(text.partition("```yaml\n")[2].partition("```")[0])

    assert set(load_script(path).models) == {"gpt-4o", "*"}


@pytest.mark.parametrize("word", sorted(KNOWN))
def test_every_word_of_a_model_name_is_explained(word: str) -> None:
    """docs/testing.md names each word that a mock's model name can have."""
    text = resource("docs").joinpath("testing.md").read_text()

    assert re.search(rf"`{word}(-\d+)?`", text)


def test_every_link_between_documents_leads_somewhere() -> None:
    """A link to /docs/name has a file docs/name.md."""
    docs = resource("docs")
    links = {
        name
        for path in docs.glob("*.md")
        for name in re.findall(r"\(/docs/([a-z-]+)[)#]", path.read_text())
    }

    assert sorted(name for name in links if not (docs / f"{name}.md").exists()) == []
