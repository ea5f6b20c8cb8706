"""Lists of runs that have ended."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_stream.errors import HistoryUnavailable
from llm_stream.history import sidetable
from llm_stream.history.database import open_store
from llm_stream.history.history import History
from llm_stream.history.past import Asked, newest

from .conftest import MakeHistory, ended

ROW = sidetable.Row(
    run="", fingerprint="", recipe="generate", model="m", status="completed", error_code=None,
    partial=False, created_at=0, ended_at=0, total_ms=0, owner="", parent=None,
)  # fmt: skip


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """A database with all tables."""
    store: Any = open_store(path)
    with closing(store.db.conn) as connection:
        yield connection


def fill(connection: sqlite3.Connection, *runs: str, **fields: Any) -> None:
    """Runs of these ids."""
    for run in runs:
        sidetable.write(connection, [replace(ROW, run=run, **fields)])


def ids(connection: sqlite3.Connection, limit: int = 9, **asked: Any) -> list[str]:
    """What is listed."""
    return [line.run for line in newest(connection, Asked("", limit, **asked))]


def test_pages_have_every_run_once(connection: sqlite3.Connection) -> None:
    """Newest first by their ids, whatever ends or is deleted between two pages."""
    fill(connection, "run_1", "run_4", "run_2", "run_3")
    first = ids(connection, 2)
    fill(connection, "run_5")
    connection.execute("DELETE FROM llm_stream_runs WHERE run = 'run_3'")

    assert first == ["run_4", "run_3"]
    assert ids(connection, 2, before="run_3") == ["run_2", "run_1"]
    assert ids(connection, before="run_1") == []


def test_a_list_can_be_narrowed_down(connection: sqlite3.Connection) -> None:
    """By recipe, by state, by both."""
    fill(connection, "run_1")
    fill(connection, "run_2", status="failed")
    fill(connection, "run_3", recipe="reason", status="failed")

    assert ids(connection, recipe="generate") == ["run_2", "run_1"]
    assert ids(connection, state="failed") == ["run_3", "run_2"]
    assert ids(connection, recipe="generate", state="failed") == ["run_2"]


def test_others_runs_and_inner_ones_are_not_listed(connection: sqlite3.Connection) -> None:
    """Only what the owner's callers have asked for."""
    fill(connection, "run_1")
    fill(connection, "run_2", owner="ann")
    fill(connection, "run_3", parent="run_1")

    assert ids(connection) == ["run_1"]


@pytest.mark.parametrize(
    "asked",
    [{}, {"before": "run_2"}, {"recipe": "reason", "state": "failed"}],
    ids=["first", "next", "narrowed"],
)
def test_rows_are_read_for_what_is_shown_only(
    connection: sqlite3.Connection, asked: dict[str, Any]
) -> None:
    """What is listed is chosen in an index; every table is asked by its key."""
    said: list[str] = []
    connection.set_trace_callback(said.append)
    ids(connection, **asked)
    connection.set_trace_callback(None)
    plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {said[0]}")]

    assert any("USING INDEX llm_stream_runs_past (owner=?" in step for step in plan)
    assert not [step for step in plan if step.startswith(("SCAN", "USE TEMP"))]


@pytest.mark.slow
async def test_a_line_has_what_is_known_of_a_run(history: History) -> None:
    """A run that has just ended is there; its title is what it was called while it was live."""
    for end in ("completed", "failed"):
        history.record(*await ended("Plan a shop", "Hello", end=end), None)
    failed, completed = await history.past.newest(Asked("", 9))

    assert (completed.title, completed.state, completed.error_code) == (
        "Plan a shop", "completed", None,
    )  # fmt: skip
    assert (failed.title, failed.state, failed.partial) == ("Plan a shop", "failed", True)
    assert completed.created_at <= completed.ended_at <= failed.ended_at


@pytest.mark.slow
async def test_where_nothing_was_written_nothing_is_listed(make_history: MakeHistory) -> None:
    """A new database is no fault."""
    past = make_history().past

    assert await past.newest(Asked("", 9)) == []
    assert await past.run("run_x", "") is None


@pytest.mark.slow
@pytest.mark.usefixtures("hasty")
async def test_a_database_that_cannot_be_read_is_told(
    make_history: MakeHistory, tmp_path: Path
) -> None:
    """Nobody takes that for a past without runs."""
    ruined = tmp_path / "ruined.db"
    ruined.write_bytes(b"no database" * 1000)
    past = make_history(ruined).past

    with pytest.raises(HistoryUnavailable):
        await past.newest(Asked("", 9))
    with pytest.raises(HistoryUnavailable):
        await past.run("run_x", "")
