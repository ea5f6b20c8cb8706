"""Shell completion: commands and options always, names while a service answers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from llm_stream.cli import main

from .serving import environment
from .shelled import Shell, shell_of
from .test_cachecommands import answering
from .test_cli import PROGRAM, invoke

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One service for all tests of this file."""
    with shell_of(tmp_path_factory.mktemp("llm")) as shell:
        yield shell


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else the machine does must not make a service look gone."""
    monkeypatch.setattr("llm_stream.cli.completing.PATIENCE_SECONDS", 20.0)


def completed(*words: str) -> list[str]:
    """What a shell offers for the last word."""
    complete = ShellComplete(main, {}, "llm-stream", "_LLM_STREAM_COMPLETE")
    return [str(item.value) for item in complete.get_completions([*words[:-1]], words[-1])]


@pytest.mark.parametrize(
    ("words", "there", "not_there"),
    [
        (("run", "-m", ""), {"scripted", "fast"}, {"generate"}),
        (("run", "-m", "fa"), {"fast"}, {"scripted"}),
        (("run", "-t", ""), {"summarize"}, {"breakdown", "evaluate", "repair"}),
        (("breakdown", "-t", ""), {"breakdown"}, {"summarize"}),
        (("cache", "ls", "--template", ""), {"breakdown", "summarize"}, set()),
        (("cache", "rm", "--recipe", "e"), {"evaluate"}, {"generate"}),
    ],
)
def test_names_come_from_the_service(
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    there: set[str],
    not_there: set[str],
) -> None:
    """Models with their aliases, templates that fit the command, recipes."""
    monkeypatch.setenv("LLM_STREAM_URL", shell.url)

    offered = set(completed(*words))

    assert there <= offered
    assert not not_there & offered


def test_the_service_is_where_the_options_say(shell: Shell) -> None:
    """`--url` before the word counts; runs are offered to be resumed."""
    run = shell.call("POST", "/v1/generate", {"prompt": "Hi"})["id"]

    assert run in completed("run", "--url", shell.url, "--resume", "")


@pytest.mark.parametrize("answer", [{"error": 1}, b"<html>", {"data": "none"}, None])
def test_without_a_service_there_is_silence(
    answer: object, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody, or somebody else, completes nothing and says nothing."""
    with answering(answer) as (other, _):
        monkeypatch.setenv("LLM_STREAM_URL", other.url if answer else "http://127.0.0.1:9")
        assert completed("run", "-m", "") == []
        assert completed("run", "-t", "") == []

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_script_a_shell(name: str) -> None:
    """Each shell has its own; another is refused with those there are."""
    done = invoke("completion", name)

    assert done.exit_code == 0
    assert f"_LLM_STREAM_COMPLETE={name}_complete" in done.output
    assert invoke("completion", "tcsh").exit_code == 2


def test_bash_completes(tmp_path: Path) -> None:
    """The script does its work in a real shell."""
    program = (
        'eval "$(llm-stream completion bash)"; COMP_WORDS=(llm-stream eval); COMP_CWORD=1; '
        '_llm_stream_completion llm-stream; echo "${COMPREPLY[@]}"'
    )
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        env=environment(tmp_path) | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert (done.stdout, done.stderr) == ("evaluate\n", "")


def test_a_short_call_imports_little() -> None:
    """A person waits for a name: neither settings nor the client are loaded for it."""
    program = (
        "import sys, llm_stream.cli.calling, llm_stream.cli.commands as commands\n"
        "assert all(commands.main.commands.values())\n"
        "print(*{'pydantic', 'aiohttp', 'llm', 'orjson'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout == "\n"
