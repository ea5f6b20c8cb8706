"""The tables beside llm's own: what became of each run, and the answers that can be given again.

`llm_stream_runs` has one row a run; its `response_id` is llm's id of it. `llm_stream_names` says
under which names an answer can be forgotten, while it is there.
"""

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from llm_stream.cache.stored import Stored
from llm_stream.history import bulk
from llm_stream.history.packing import unpack

SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS llm_stream_runs (
        run TEXT PRIMARY KEY,
        response_id TEXT,      -- turns.id; NULL where the calls are logged one by one
        fingerprint TEXT NOT NULL,
        recipe TEXT NOT NULL,
        model TEXT NOT NULL,
        status TEXT NOT NULL,  -- completed, failed, cancelled
        error_code TEXT,       -- of a failure; the reason of a cancel
        partial INTEGER NOT NULL, -- 1: it ended early with a part of its answer
        created_at REAL NOT NULL, -- seconds since 1970
        ended_at REAL NOT NULL,
        total_ms INTEGER NOT NULL,
        owner TEXT NOT NULL,
        parent TEXT,
        size INTEGER NOT NULL, -- bytes it takes in all tables, about
        expires_at REAL,       -- when `entry` is too old to be given again
        entry BLOB             -- the answer as the cache keeps it, compressed by zlib
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS llm_stream_runs_fingerprint
    ON llm_stream_runs (fingerprint, ended_at) WHERE entry IS NOT NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS llm_stream_runs_expires
    ON llm_stream_runs (expires_at) WHERE entry IS NOT NULL
    """,
    "CREATE INDEX IF NOT EXISTS llm_stream_runs_ended ON llm_stream_runs (ended_at)",
    # Ids begin with their time. All that a list can be narrowed by is in here, so that a row is
    # read only if it is shown.
    """
    CREATE INDEX IF NOT EXISTS llm_stream_runs_past
    ON llm_stream_runs (owner, run, recipe, status) WHERE parent IS NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS llm_stream_runs_inner
    ON llm_stream_runs (parent, run) WHERE parent IS NOT NULL
    """,
    """
    CREATE TABLE IF NOT EXISTS llm_stream_names (
        name TEXT NOT NULL, run TEXT NOT NULL, PRIMARY KEY (name, run)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS llm_stream_names_run ON llm_stream_names (run)",
    """
    CREATE TRIGGER IF NOT EXISTS llm_stream_forgotten
    AFTER UPDATE OF entry ON llm_stream_runs WHEN new.entry IS NULL
    BEGIN DELETE FROM llm_stream_names WHERE run = new.run; END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS llm_stream_deleted AFTER DELETE ON llm_stream_runs
    BEGIN DELETE FROM llm_stream_names WHERE run = old.run; END
    """,
    """
    CREATE TABLE IF NOT EXISTS llm_stream_replays (
        run TEXT PRIMARY KEY, recorded TEXT NOT NULL -- has given the answer of that run again
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS llm_stream_replays_recorded ON llm_stream_replays (recorded)",
    """
    CREATE TRIGGER IF NOT EXISTS llm_stream_replays_gone AFTER DELETE ON llm_stream_runs
    BEGIN DELETE FROM llm_stream_replays WHERE recorded = old.run; END
    """,
)

MAX_REPLAYS: Final = 1000
"""Names of one run: an answer that is given again all day must not fill the disk with them."""

REPLAY_BYTES: Final = 150
"""What a name takes, in its table and the index, about."""

KEYS_AT_ONCE: Final = 500
"""Parameters of one statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of `llm_stream_runs`, and the names its answer goes by."""

    run: str
    fingerprint: str
    recipe: str
    model: str
    status: str
    error_code: str | None
    partial: bool
    created_at: float
    ended_at: float
    total_ms: int
    owner: str
    parent: str | None
    size: int = 0
    expires_at: float | None = None
    entry: bytes | None = None
    names: tuple[str, ...] = ()
    response_id: str | None = None


def create(connection: sqlite3.Connection) -> None:
    """Make the tables where they are missing."""
    for statement in SCHEMA:
        connection.execute(statement)


def exists(connection: sqlite3.Connection) -> bool:
    """Whether the tables have been made."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'llm_stream_runs'")
    return found.fetchone() is not None


def write(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Add runs, no two by one name; answers take the place of earlier ones of their fingerprint."""
    kept = {row.fingerprint: row for row in rows if row.entry is not None}
    bulk.write(
        connection,
        "UPDATE llm_stream_runs SET entry = NULL WHERE entry IS NOT NULL AND fingerprint IN (",
        [(fingerprint,) for fingerprint in kept],
        ")",
    )
    bulk.write(
        connection,
        "INSERT OR REPLACE INTO llm_stream_runs",
        [
            (
                row.run, row.response_id, row.fingerprint, row.recipe, row.model, row.status,
                row.error_code, row.partial, row.created_at, row.ended_at, row.total_ms, row.owner,
                row.parent, row.size, row.expires_at,
                row.entry if kept.get(row.fingerprint) is row else None,
            )
            for row in rows
        ],
    )  # fmt: skip
    bulk.write(
        connection,
        "INSERT OR IGNORE INTO llm_stream_names",
        [(name, row.run) for row in kept.values() for name in row.names],
    )


def rename(connection: sqlite3.Connection, run: str, recorded: str) -> None:
    """Let a recorded run be found by this name as well; nothing where it is not there.

    Ids are in the order of time: of too many names the oldest go. What they take is the run's.
    """
    added = connection.execute(
        "INSERT OR IGNORE INTO llm_stream_replays SELECT ?, run FROM llm_stream_runs WHERE run = ?",
        [run, recorded],
    ).rowcount
    if not added:
        return
    gone = connection.execute(
        "DELETE FROM llm_stream_replays WHERE run IN (SELECT run FROM llm_stream_replays"
        " WHERE recorded = ?1 ORDER BY run LIMIT max(0, (SELECT count(*) - ?2"
        " FROM llm_stream_replays WHERE recorded = ?1)))",
        [recorded, MAX_REPLAYS],
    ).rowcount
    connection.execute(
        "UPDATE llm_stream_runs SET size = size + ? WHERE run = ?",
        [REPLAY_BYTES * (added - gone), recorded],
    )


def find(connection: sqlite3.Connection, fingerprint: str) -> Stored | None:
    """The newest answer of this fingerprint; None also where it cannot be read."""
    found = connection.execute(
        "SELECT entry FROM llm_stream_runs WHERE fingerprint = ? AND entry IS NOT NULL"
        " ORDER BY ended_at DESC LIMIT 1",
        [fingerprint],
    ).fetchone()
    return None if found is None else unpack(found[0])


def forget(
    connection: sqlite3.Connection,
    *,
    keys: Sequence[str] = (),
    name: str | None = None,
    older_than_seconds: float = 0,
) -> int:
    """Drop answers by fingerprint and under a name, the rows stay; how many there were."""
    forgotten = 0
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[start : start + KEYS_AT_ONCE]
        forgotten += connection.execute(
            "UPDATE llm_stream_runs SET entry = NULL WHERE entry IS NOT NULL"  # noqa: S608 - places
            f" AND fingerprint IN ({','.join('?' * len(some))})",
            some,
        ).rowcount
    if name is not None:
        before = time.time() - older_than_seconds if older_than_seconds else float("inf")
        runs = connection.execute(
            "SELECT run FROM llm_stream_names JOIN llm_stream_runs USING (run)"
            " WHERE name = ? AND ended_at <= ?",
            [name, before],
        ).fetchall()
        forgotten += connection.executemany(
            "UPDATE llm_stream_runs SET entry = NULL WHERE run = ?", runs
        ).rowcount if runs else 0  # fmt: skip
    return forgotten


def expire(connection: sqlite3.Connection, now: float, limit: int) -> int:
    """Drop answers that are too old to be given again; how many there were."""
    return connection.execute(
        "UPDATE llm_stream_runs SET entry = NULL WHERE run IN (SELECT run FROM llm_stream_runs"
        " WHERE entry IS NOT NULL AND expires_at < ? LIMIT ?)",
        [now, limit],
    ).rowcount
