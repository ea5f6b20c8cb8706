"""`llm-stream clients`."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llm_stream.access.clientkey import client_of, is_key
from llm_stream.cli import main


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose clients stand in a file beside it."""
    path = tmp_path / "config.toml"
    path.write_text(f'[auth]\nclients_file = "{tmp_path / "clients.toml"}"\n')
    return path


def run(config: Path, *words: str) -> Result:
    """Run one of the commands."""
    command, *rest = words
    return CliRunner().invoke(main, ["clients", command, "--config", str(config), *rest])


def test_a_key_is_shown_once_and_kept_as_a_hash(config: Path) -> None:
    """Alone on standard output, so that it can be put into a variable."""
    added = run(config, "add", "director", "--days", "30", "--model", "gpt-*", "--sockets", "2")
    key = added.stdout.strip()
    text = config.with_name("clients.toml").read_text()
    (record,) = tomllib.loads(text)["clients"].values()

    assert added.exit_code == 0
    assert is_key(key, record["hash"])
    assert key[13:-9] not in text
    assert (record["models"], record["limits"]) == (["gpt-*"], {"sockets": 2})
    assert str(client_of(key)) in added.stderr


def test_clients_are_listed_and_revoked(config: Path) -> None:
    """By name or by id; a name that two have is not enough."""
    first = client_of(run(config, "add", "twin").stdout.strip()) or ""
    run(config, "add", "twin", "--scope", "metrics")
    unclear = run(config, "revoke", "twin")
    run(config, "revoke", first)
    listed = run(config, "list").stdout.splitlines()
    second = run(config, "revoke", "twin")
    again = run(config, "revoke", "twin")

    assert unclear.exit_code == 1
    assert first in unclear.stderr
    assert [line.split()[2] for line in listed] == ["STATE", "revoked", "active"]
    assert listed[2].split()[3] == "metrics"
    assert (second.exit_code, again.exit_code) == (0, 1)


@pytest.mark.parametrize(
    "words",
    [("add", "x", "--scope", "run:all"), ("add", ""), ("add", "x", "--days", "9e9"),
     ("revoke", "nobody")],
)  # fmt: skip
def test_what_cannot_be_done_is_told(config: Path, words: tuple[str, ...]) -> None:
    """In one line, and nothing is written."""
    refused = run(config, *words)

    assert refused.exit_code == 1
    assert refused.stderr.count("\n") == 1
    assert not config.with_name("clients.toml").exists() or words[0] == "revoke"


def test_a_damaged_file_is_not_written_over(config: Path) -> None:
    """It may be mended by hand."""
    path = config.with_name("clients.toml")
    path.write_text("[clients")
    for words in (("add", "x"), ("list",), ("revoke", "x")):
        assert run(config, *words).exit_code == 1

    assert path.read_text() == "[clients"


def test_it_says_when_keys_are_asked_of_nobody(config: Path) -> None:
    """Or the operator would believe the service closed."""
    config.write_text(config.read_text() + "required = false\n")

    assert "no request needs a key" in run(config, "add", "x").stderr
