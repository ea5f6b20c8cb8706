"""The tables of the account: runs, what they have spent, and what cost nothing.

They hold figures only, no text. Rows of a run leave with it.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from llm_stream.history import bulk
from llm_stream.history.spending import Spent

SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS llm_stream_account (
        ended_at REAL NOT NULL,    -- seconds since 1970
        run TEXT NOT NULL,
        recipe TEXT NOT NULL,      -- of the run that a caller asked for, this one or one above it
        model TEXT NOT NULL,       -- that was asked
        tier TEXT NOT NULL,
        owner TEXT NOT NULL,
        hidden INTEGER NOT NULL,   -- 1: no caller asked for it
        status TEXT NOT NULL,      -- completed, failed, cancelled
        total_ms INTEGER NOT NULL,
        first_token_ms INTEGER,    -- NULL: there was no output
        PRIMARY KEY (ended_at, run) -- so that a span of time lies together
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS llm_stream_account_run ON llm_stream_account (run)",
    """
    CREATE TABLE IF NOT EXISTS llm_stream_spent (
        ended_at REAL NOT NULL, run TEXT NOT NULL, recipe TEXT NOT NULL, -- as above, for sums
        tier TEXT NOT NULL, owner TEXT NOT NULL,                         -- without a join
        model TEXT NOT NULL,       -- that answered
        calls INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,   -- as the model reported them
        output_tokens INTEGER NOT NULL,
        estimated_input_tokens INTEGER NOT NULL,  -- of calls of which it reported none
        estimated_output_tokens INTEGER NOT NULL,
        PRIMARY KEY (ended_at, run, model)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS llm_stream_spent_run ON llm_stream_spent (run)",
    """
    CREATE TABLE IF NOT EXISTS llm_stream_reused (
        minute INTEGER NOT NULL,   -- its begin, seconds since 1970
        recipe TEXT NOT NULL, model TEXT NOT NULL, tier TEXT NOT NULL, owner TEXT NOT NULL,
        cached INTEGER NOT NULL,   -- calls that were answered from the cache
        joined INTEGER NOT NULL,   -- calls that joined a run under way
        PRIMARY KEY (minute, recipe, model, tier, owner)
    ) WITHOUT ROWID
    """,
    """
    CREATE TRIGGER IF NOT EXISTS llm_stream_unaccounted AFTER DELETE ON llm_stream_runs
    BEGIN
        DELETE FROM llm_stream_account WHERE run = old.run;
        DELETE FROM llm_stream_spent WHERE run = old.run;
    END
    """,
)

MINUTE: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run in the account: a row of `llm_stream_account`, and what it has spent by model."""

    run: str
    ended_at: float
    recipe: str
    model: str
    tier: str
    owner: str
    hidden: bool
    status: str
    total_ms: int
    first_token_ms: int | None
    spent: Mapping[str, Spent]


class Reuse(NamedTuple):
    """What calls that cost nothing are counted by; `minute` is its begin, seconds since 1970."""

    minute: int
    recipe: str
    model: str
    tier: str
    owner: str


class Reused(NamedTuple):
    """How many calls were answered from the cache, and how many joined a run under way."""

    cached: int = 0
    joined: int = 0


def create(connection: sqlite3.Connection) -> None:
    """Make the tables where they are missing; after those of `sidetable`."""
    for statement in SCHEMA:
        connection.execute(statement)


def write(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Enter runs, no two by one name; those that are there already are replaced."""
    runs = [(entry.run,) for entry in entries]
    for table in ("account", "spent"):
        bulk.write(connection, f"DELETE FROM llm_stream_{table} WHERE run IN (", runs, ")")  # noqa: S608 - two names
    bulk.write(
        connection,
        "INSERT INTO llm_stream_account",
        [
            (
                entry.ended_at, entry.run, entry.recipe, entry.model, entry.tier, entry.owner,
                entry.hidden, entry.status, entry.total_ms, entry.first_token_ms,
            )
            for entry in entries
        ],
    )  # fmt: skip
    bulk.write(
        connection,
        "INSERT INTO llm_stream_spent",
        [
            (entry.ended_at, entry.run, entry.recipe, entry.tier, entry.owner, model, *spent)
            for entry in entries
            for model, spent in entry.spent.items()
        ],
    )


def add(connection: sqlite3.Connection, reused: Mapping[Reuse, Reused]) -> None:
    """Add up calls that cost nothing."""
    connection.executemany(
        "INSERT INTO llm_stream_reused VALUES (?,?,?,?,?,?,?)"
        " ON CONFLICT DO UPDATE SET cached = cached + excluded.cached,"
        " joined = joined + excluded.joined",
        [(*reuse, *counts) for reuse, counts in reused.items()],
    )


def expire(connection: sqlite3.Connection, before: float, limit: int) -> int:
    """Drop counts of minutes before that moment, some at a time; how many there were."""
    return connection.execute(
        "DELETE FROM llm_stream_reused WHERE (minute, recipe, model, tier, owner) IN"
        " (SELECT minute, recipe, model, tier, owner FROM llm_stream_reused"
        " WHERE minute < ? LIMIT ?)",
        [before, limit],
    ).rowcount
