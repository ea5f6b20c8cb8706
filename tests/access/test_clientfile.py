"""The file of clients."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from llm_stream.access.clientfile import (
    ClientFileFault,
    ClientRecord,
    editing,
    now,
    read_clients,
)
from llm_stream.access.clientkey import new_key
from llm_stream.access.principal import Allowance


def record(**fields: object) -> ClientRecord:
    """A record with a key nobody has."""
    said = {"name": "x", "hash": new_key().hash, "created_at": now(), **fields}
    return ClientRecord.model_validate(said)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every field; and only the owner may read the file."""
    path = tmp_path / "deep" / "clients.toml"
    full = record(
        scopes=("run:read", "metrics"),
        expires_at=now() + timedelta(days=1),
        revoked_at=now(),
        models=("gpt-*",),
        templates=("query",),
        limits={"runs_per_second": 0.5, "sockets": 2},
    )
    with editing(path) as clients:
        clients["aaaaaaaa"] = full
        clients["bbbbbbbb"] = plain = record()

    assert read_clients(path) == {"aaaaaaaa": full, "bbbbbbbb": plain}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_edit_that_fails_changes_nothing(tmp_path: Path) -> None:
    """The file is as it was."""
    path = tmp_path / "clients.toml"
    with editing(path) as clients:
        clients["aaaaaaaa"] = record()
    before = path.read_bytes()
    with pytest.raises(KeyError), editing(path) as clients:
        clients.clear()
        raise KeyError

    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clients = 1", "clients"),
        ("[clients.aaaaaaaa]\nname = 'x'", "clients.aaaaaaaa.hash"),
        ("[clients.UPPER]\nname = 'x'", "clients.UPPER"),
        (
            "[clients.aaaaaaaa]\nname='x'\nhash='lls_secret'\ncreated_at=2026-01-01T00:00:00Z",
            "hash",
        ),
        ("[clients", "TOMLDecodeError"),
    ],
)
def test_a_file_that_is_none_of_clients_is_told(tmp_path: Path, text: str, told: str) -> None:
    """Where and what, without the value: it may be a key."""
    path = tmp_path / "clients.toml"
    path.write_text(text)

    with pytest.raises(ClientFileFault, match=told) as caught:
        read_clients(path)
    assert "lls_secret" not in str(caught.value)


def test_no_file_is_no_clients(tmp_path: Path) -> None:
    """That is how it begins."""
    assert read_clients(tmp_path / "none.toml") == {}


def test_a_clients_limits_go_before_the_usual_ones() -> None:
    """What it says nothing of is as usual."""
    usual = Allowance(runs_per_second=9, concurrent_runs=3)
    principal = record(limits={"concurrent_runs": 1}).principal("a", shared=False, usual=usual)

    assert principal.allowance == Allowance(runs_per_second=9, concurrent_runs=1)
    assert (principal.id, principal.owner) == ("a", "a")
    assert record().principal("a", shared=True, usual=usual).owner == ""
