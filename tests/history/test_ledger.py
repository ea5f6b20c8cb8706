"""The tables of the account: written, replaced, expired with what they are of."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm_stream.history import ledger
from llm_stream.history.database import open_store
from llm_stream.history.ledger import Entry, Reuse, Reused
from llm_stream.history.spending import Spent

from .conftest import MakeHistory, ended, rows, settled

REUSE = Reuse(60, "generate", "m", "", "")


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """A database with all tables."""
    store: Any = open_store(path)
    with closing(store.db.conn) as connection:
        yield connection


def entry(**changes: Any) -> Entry:
    """A run that has spent a little."""
    facts: dict[str, Any] = {
        "run": "run_1", "ended_at": 10.0, "recipe": "generate", "model": "m", "tier": "",
        "owner": "", "hidden": False, "status": "completed", "total_ms": 5, "first_token_ms": 1,
        "spent": {"m": Spent(1, 2, 3)},
    }  # fmt: skip
    return Entry(**facts | changes)


def test_a_run_that_is_entered_again_is_replaced(connection: sqlite3.Connection) -> None:
    """A replica that took a run over has the last word on it."""
    ledger.write(connection, [entry()])
    ledger.write(connection, [entry(status="failed", spent={"other": Spent(1, 7, 8)})])

    assert connection.execute("SELECT status FROM llm_stream_account").fetchall() == [("failed",)]
    assert connection.execute("SELECT model, input_tokens FROM llm_stream_spent").fetchall() == [
        ("other", 7)
    ]


def test_reuses_add_up(connection: sqlite3.Connection) -> None:
    """Several batches of one minute, also of several processes, are one row."""
    for _ in range(2):
        ledger.add(connection, {REUSE: Reused(2, 1)})

    assert connection.execute("SELECT cached, joined FROM llm_stream_reused").fetchall() == [(4, 2)]


def test_old_minutes_go(connection: sqlite3.Connection) -> None:
    """Those before a moment, some at a time."""
    ledger.add(connection, {REUSE._replace(minute=n * 60): Reused(1, 0) for n in range(5)})

    assert ledger.expire(connection, 180, 2) == 2
    assert ledger.expire(connection, 180, 2) == 1
    assert ledger.expire(connection, 180, 2) == 0
    assert connection.execute("SELECT count(*) FROM llm_stream_reused").fetchone() == (2,)


async def test_an_account_leaves_with_its_run(make_history: MakeHistory, path: Path) -> None:
    """What retention deletes is in no table any more."""
    history = make_history()
    spec, run = await ended()
    history.record(spec, run, None)
    await settled(history)
    assert rows(path, "SELECT count(*) FROM llm_stream_spent") == [(1,)]

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM llm_stream_runs")

    for table in ("llm_stream_account", "llm_stream_spent"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(0,)]


async def test_a_database_of_an_earlier_release_gets_the_tables(
    make_history: MakeHistory, path: Path
) -> None:
    """They are added beside what is there, and what was recorded before is left alone."""
    history = make_history()
    spec, run = await ended()
    history.record(spec, run, None)
    await history.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER llm_stream_unaccounted")
        for table in ("account", "spent", "reused"):
            connection.execute(f"DROP TABLE llm_stream_{table}")

    later = make_history()
    spec, run = await ended("Another")
    later.record(spec, run, None)
    await settled(later)

    assert rows(path, "SELECT count(*) FROM llm_stream_runs") == [(2,)]
    assert rows(path, "SELECT run FROM llm_stream_account") == [(run.id,)]
