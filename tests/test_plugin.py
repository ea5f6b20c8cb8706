"""What llm's own command line gets: the embedded model, commands, templates."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from llm_stream.cli import main
from llm_stream.models.local import LocalModel, SyncLocalModel
from llm_stream.models.weights import fetch_weights
from llm_stream.plugin import register_commands, register_models, register_template_loaders
from llm_stream.testing.mockproviders import MockProviders


def run_llm(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`llm` with an empty folder of its own and only this plugin."""
    return subprocess.run(
        [sys.executable, "-m", "llm", *arguments],
        env={
            **os.environ,
            "LLM_USER_PATH": str(home),
            "LLM_LOAD_PLUGINS": "llm-stream",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def registered() -> list[Any]:
    """What the plugin registers."""
    models: list[Any] = []
    register_models(lambda *pair: models.extend(pair))
    return models


def test_both_twins_are_registered_and_share_one_file() -> None:
    """llm gets a sync and an async smollm2, the same ones each time it asks."""
    sync, asynchronous = registered()

    assert isinstance(sync, SyncLocalModel)
    assert isinstance(asynchronous, LocalModel)
    assert sync.model_id == asynchronous.model_id == "smollm2"
    assert registered()[1] is asynchronous
    assert asynchronous.statistics().loaded is False


def test_without_the_library_nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that could never answer is not offered."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    assert registered() == []


@pytest.mark.slow
def test_registering_imports_nothing_heavy() -> None:
    """Having the plugin costs llm's other users no llama.cpp, no web server and no commands."""
    program = (
        "import sys, click, llm, llm_stream.plugin as plugin\n"
        "plugin.register_models(lambda *pair: None)\n"
        "plugin.register_template_loaders(lambda *pair: None)\n"
        "plugin.register_commands(click.Group())\n"
        "heavy = {'xllamacpp', 'aiohttp', 'pip', 'llm_stream.cli', 'llm_stream.config'}\n"
        "print(*heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == ""


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.parametrize("mode", [(), ("--async",)], ids=["sync", "async"])
def test_the_command_line_answers(tmp_path: Path, mode: tuple[str, ...]) -> None:
    """`llm -m smollm2 'Hi'` prints an answer, ends well and says nothing else."""
    fetch_weights()

    done = run_llm(tmp_path, "-m", "smollm2", "Hi", "-o", "max_tokens", "8", *mode)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


@pytest.mark.slow
def test_the_command_line_says_what_is_missing(tmp_path: Path) -> None:
    """Without weights the model is listed, and asking it names the command that helps."""
    elsewhere = {"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}

    listed = run_llm(tmp_path, "models", **elsewhere)
    asked = run_llm(tmp_path, "-m", "smollm2", "Hi", **elsewhere)

    assert "llm-stream: smollm2" in listed.stdout
    assert asked.returncode == 1
    assert "llm-stream pull" in asked.stderr


def test_what_loads_plugins_gets_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`llm` has loaded all plugins there are; serving takes those that are configured."""
    cli, replaced = click.Group("llm"), list[list[str]]()
    register_commands(cli)
    monkeypatch.setattr(os, "execv", lambda _path, arguments: replaced.append(arguments))

    for words in (["serve", "--port", "9"], ["check"], ["serve", "--help"], ["completion", "zsh"]):
        CliRunner().invoke(cli, ["stream", *words], prog_name="llm")

    ours = [sys.executable, "-P", "-m", "llm_stream"]
    assert replaced == [[*ours, "serve", "--port", "9"], [*ours, "check"]]


def test_help_names_them_below_llm() -> None:
    """Every command of `llm-stream` is there, under the name of `llm stream`."""
    cli = click.Group("llm")
    register_commands(cli)

    told = CliRunner().invoke(cli, ["stream", "--help"], prog_name="llm")
    usage = CliRunner().invoke(cli, ["stream", "serve", "--help"], prog_name="llm")
    wrong = CliRunner().invoke(cli, ["stream", "nonsense"], prog_name="llm")

    assert set(re.findall(r"^  ([a-z-]+)  ", told.output, re.MULTILINE)) >= set(main.commands)
    assert usage.output.startswith("Usage: llm stream serve [OPTIONS]")
    assert wrong.exit_code == 2


@pytest.mark.slow
async def test_templates_are_llms_as_well(tmp_path: Path, mocks: MockProviders) -> None:
    """`llm -t stream:breakdown` asks llm's model by our template, with `-p` for its variables."""
    provider = {"OPENAI_BASE_URL": mocks.openai_url, "OPENAI_API_KEY": "mock"}
    asked = ("-m", "gpt-4o-mini", "-t", "stream:breakdown", "-p", "task", "Build a shop.")

    done = await asyncio.to_thread(
        run_llm, tmp_path, *asked, "-p", "max_tasks", "4", "Cups are sold.", **provider
    )
    (request,) = mocks.requests
    system, prompt = (message["content"] for message in (request.body or {})["messages"])

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert system.startswith("You break a piece of work down into tasks")
    assert all(word in prompt for word in ("Build a shop.", "at most 4 tasks", "Cups are sold."))


def test_templates_are_those_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configured folder counts; a name that is none, or of a broken file, is told."""
    (tmp_path / "mine.yaml").write_text("prompt: $input")
    (tmp_path / "broken.yaml").write_text("prompt: [")
    monkeypatch.setenv("LLM_STREAM__TEMPLATES__FOLDER", str(tmp_path))
    loaders: dict[str, Any] = {}
    register_template_loaders(loaders.__setitem__)

    assert loaders["stream"]("mine").evaluate("Hi", {})[0] == "Hi"
    for name, said in (("../mine", "there are mine"), ("broken", "broken.yaml: not YAML")):
        with pytest.raises(ValueError, match=said):
            loaders["stream"](name)
