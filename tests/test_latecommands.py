"""Commands that are imported when somebody asks for them."""

import subprocess
import sys

import click
import pytest

from llm_stream.cli.latecommands import LateCommands


def test_a_command_does_not_bring_the_others() -> None:
    """`serve` is there without what only `run` and the like need."""
    program = (
        "import sys\n"
        "from llm_stream.cli import main\n"
        "assert main.commands['serve']\n"
        "print(*(name for name in sys.modules if name.endswith('commands')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout.split() == ["llm_stream.cli.latecommands", "llm_stream.cli.commands"]


def test_it_is_what_click_takes_for_commands() -> None:
    """They can be listed unseen, had, added to and taken away."""
    commands = LateCommands({"mock-providers": "mocks"})
    own = click.Command("own")
    commands["own"] = own

    assert list(commands) == ["mock-providers", "own"]
    assert len(commands) == 2
    assert commands["mock-providers"].name == "mock-providers"
    assert commands.get("own") is own
    assert commands.get("nobody") is None

    del commands["own"], commands["mock-providers"]

    assert not commands
    with pytest.raises(KeyError):
        del commands["own"]
