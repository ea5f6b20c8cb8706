"""The documents tell the truth: every example runs and prints what stands below it."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from llm_stream.cli import main
from llm_stream.resources import resource
from llm_stream.testing.mockproviders import load_script
from llm_stream.testing.mockproviders.modelnames import KNOWN
from llm_stream.web.pages import anchor

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
async def test_the_command_lines_examples_run(runner: ExampleRunner, tmp_path: Path) -> None:
    """docs/cli.md's commands print what it says, line for line; criteria in any order."""
    await check_examples("cli", runner, tmp_path)


def leaves(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """All commands of the program with their names, groups left out."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path}{name} ")
        else:
            yield path + name, command


@pytest.mark.parametrize("name", [name for name, _ in leaves(main)])
def test_every_option_of_a_command_is_documented(name: str) -> None:
    """docs/cli.md has a row on it with its own options; common ones stand for all."""
    text = resource("docs").joinpath("cli.md").read_text()
    row = next(line for line in text.splitlines() if re.match(rf"\|.*`{name}[ `]", line))
    known = {"--config", "--url", "--key", *re.findall(r"--[a-z-]+", row)}
    if name in {"run", "evaluate", "breakdown", "reason", "batch"}:
        common = text.partition("| all of them | |")[2].partition("\n\n")[0]
        known |= set(re.findall(r"--[a-z-]+", common))
    options = {opt for param in dict(leaves(main))[name].params for opt in param.opts}

    assert {opt for opt in options if opt.startswith("--")} <= known


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
    """A link names the file, so that it works in a repository too, and a heading of it."""
    texts = {path.name: path.read_text() for path in resource("docs").glob("*.md")}
    headings = {
        name: {anchor(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")}
        for name, text in texts.items()
    }
    links = {
        (name, link)
        for name, text in texts.items()
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
        if not link.startswith(("http://", "https://", "charts/"))
    }

    broken = []
    for name, link in sorted(links):
        file, _, heading = link.partition("#")
        if heading not in headings.get(file or name, ()) and (heading or file not in texts):
            broken.append((name, link))
    assert broken == []


def test_every_chart_of_a_document_is_there() -> None:
    """Charts are files beside the documents, each of them shown, each with words for it."""
    folder = resource("docs")
    texts = "".join(path.read_text() for path in folder.glob("*.md"))

    shown = re.findall(r"!\[[^\]]+\]\((charts/[^)\s]+)\)", texts)

    assert sorted(shown) == sorted(f"charts/{path.name}" for path in folder.glob("charts/*"))
