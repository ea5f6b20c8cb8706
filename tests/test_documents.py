"""The documents tell the truth: every example runs and prints what stands below it."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from llm_stream.cli import main
from llm_stream.config import LimitsSection, LocalSection, ModelsSection, Settings
from llm_stream.resources import resource
from llm_stream.testing import ScriptedModel
from llm_stream.testing.mockproviders import load_script
from llm_stream.testing.mockproviders.modelnames import KNOWN
from llm_stream.testing.service import RunningService, running_service
from llm_stream.web.pages import anchor

from .cliexamples import answer
from .documents import examples, outline, run, shape


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "count", "form"),
    [
        ("quickstart", 6, shape),
        ("recipes", 3, outline),
        ("client", 3, outline),
        ("openai", 3, outline),
    ],
)
async def test_the_examples_run(
    tmp_path: Path, name: str, count: int, form: Callable[[str], list[str]]
) -> None:
    """Each command works with the embedded model, and prints what is written in that form."""
    recorded = examples(resource("docs").joinpath(f"{name}.md").read_text())
    # Threads that compute wait for one another, and slowly where other tests take the cores.
    settings = Settings(
        limits=LimitsSection(late_seconds=0),
        models=ModelsSection(plugins=()),
        local=LocalSection(threads=1),
    )
    async with running_service(settings) as service:
        for example in recorded:
            output = await asyncio.to_thread(run, example, service.url, tmp_path)

            assert form(output), example.code
            assert form(output) == form(example.output), example.code
    assert len(recorded) == count


@pytest.mark.slow
async def test_the_command_lines_examples_run(
    tmp_path: Path, service: RunningService, model: ScriptedModel
) -> None:
    """docs/cli.md's commands print what it says, line for line; criteria in any order."""
    recorded = examples(resource("docs").joinpath("cli.md").read_text())
    model.respond = answer

    for example in recorded:
        output = await asyncio.to_thread(run, example, service.url, tmp_path)

        assert sorted(output.splitlines()) == sorted(example.output.splitlines())
    assert len(recorded) == 6


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
@pytest.mark.parametrize("number", [0, 1], ids=["scripted-models", "mock-providers"])
def test_the_examples_for_tests_run(tmp_path: Path, number: int) -> None:
    """docs/testing.md's programs print what it says."""
    text = resource("docs").joinpath("testing.md").read_text()
    recorded = examples(text.replace("It prints:\n\n", ""))
    example = recorded[number]

    assert run(example, "http://127.0.0.1:1", tmp_path).endswith(example.output)
    assert len(recorded) == 2


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
        if not link.startswith(("http://", "https://"))
    }

    broken = []
    for name, link in sorted(links):
        file, _, heading = link.partition("#")
        if heading not in headings.get(file or name, ()) and (heading or file not in texts):
            broken.append((name, link))
    assert broken == []
