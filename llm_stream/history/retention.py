"""What leaves the database: our own oldest runs, never what somebody else's `llm` wrote."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from llm_stream.history.database import used_bytes

RUNS_AT_ONCE: Final = 500
"""Runs deleted in one transaction, so that others can write in between."""

FREED_PAGES: Final = 2000
"""Pages given back to the file system in one go; 8 MB."""

MERGED_PAGES: Final = -1000
"""Work on the search index in one go; negative: also while its parts are still few."""

LOW_WATER: Final = 0.9
"""Part of the most bytes that is left when the oldest runs had to go for space."""

# A message belongs to whoever refers to it: turns and threads of other programs, and later
# messages. Ours go from the tips down, as far as nothing else needs them.
_CLOSURE: Final = """
    WITH RECURSIVE chain(hash) AS (
        SELECT tip_message_hash FROM turns WHERE id IN (SELECT id FROM temp.gone_turns)
        UNION SELECT parent_message_hash FROM turns WHERE id IN (SELECT id FROM temp.gone_turns)
        UNION SELECT messages.parent_hash FROM messages JOIN chain ON messages.hash = chain.hash
    )
    INSERT OR IGNORE INTO temp.gone_messages SELECT hash FROM chain WHERE hash IS NOT NULL
"""

_NEEDED: Final = """
    DELETE FROM temp.gone_messages WHERE hash IN (
        SELECT tip_message_hash FROM turns UNION SELECT parent_message_hash FROM turns
        UNION SELECT tip_message_hash FROM threads
    )
"""

_NEEDED_BY_LATER: Final = """
    DELETE FROM temp.gone_messages WHERE EXISTS (
        SELECT 1 FROM messages WHERE messages.parent_hash = gone_messages.hash
        AND messages.hash NOT IN (SELECT hash FROM temp.gone_messages)
    )
"""

_ATTACHMENTS: Final = """
    DELETE FROM attachments WHERE id IN (SELECT id FROM temp.gone_attachments)
    AND id NOT IN (SELECT attachment_id FROM part_attachments)
    AND id NOT IN (SELECT attachment_id FROM prompt_attachments)
    AND id NOT IN (SELECT attachment_id FROM tool_results_attachments)
"""

_GONE: Final = {
    "gone_turns": "id", "gone_threads": "id", "gone_messages": "hash", "gone_attachments": "id",
}  # fmt: skip
"""Temporary tables and their column."""


def too_old(connection: sqlite3.Connection, before: float) -> list[str]:
    """The oldest runs that ended before that moment (seconds since 1970), some at a time."""
    return _runs(
        connection.execute(
            "SELECT run FROM llm_stream_runs WHERE ended_at < ? ORDER BY ended_at LIMIT ?",
            [before, RUNS_AT_ONCE],
        )
    )


def over_size(connection: sqlite3.Connection, max_bytes: int) -> list[str]:
    """The oldest runs that have to go for the rest to have `max_bytes`, some at a time.

    What somebody else has in the file does not count, for no run of ours can make room for it.
    How many go is an estimate: as if runs were equal.
    """
    ours, count = connection.execute(
        "SELECT coalesce(sum(size), 0), count(*) FROM llm_stream_runs"
    ).fetchone()
    used = min(ours, used_bytes(connection))
    if used <= max_bytes:
        return []
    share = int(count * (1 - LOW_WATER * max_bytes / used)) + 1
    return _runs(
        connection.execute(
            "SELECT run FROM llm_stream_runs ORDER BY ended_at LIMIT ?", [min(share, RUNS_AT_ONCE)]
        )
    )


def _runs(rows: Iterable[tuple[str]]) -> list[str]:
    return [run for (run,) in rows]


def delete(connection: sqlite3.Connection, runs: list[str]) -> None:
    """Delete runs with what llm has of them and nobody else needs; inside a transaction."""
    execute = connection.execute
    for table, column in _GONE.items():
        execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} ({column} PRIMARY KEY)")
        execute(f"DELETE FROM temp.{table}")  # noqa: S608 - names of this file
    connection.executemany(
        "INSERT OR IGNORE INTO temp.gone_turns SELECT response_id FROM llm_stream_runs"
        " WHERE run = ? AND response_id IS NOT NULL",
        [(run,) for run in runs],
    )
    execute(
        "INSERT OR IGNORE INTO temp.gone_threads SELECT thread_id FROM turns"
        " WHERE id IN (SELECT id FROM temp.gone_turns)"
    )
    execute(_CLOSURE)
    for table, column in (("turn_search", "turn_id"), ("turns", "id")):
        execute(f"DELETE FROM {table} WHERE {column} IN (SELECT id FROM temp.gone_turns)")  # noqa: S608 - names of this file
    execute(
        "DELETE FROM threads WHERE id IN (SELECT id FROM temp.gone_threads)"
        " AND id NOT IN (SELECT thread_id FROM turns WHERE thread_id IS NOT NULL)"
    )
    execute(_NEEDED)
    while execute(_NEEDED_BY_LATER).rowcount:
        pass
    execute(
        "INSERT OR IGNORE INTO temp.gone_attachments SELECT attachment_id FROM part_attachments"
        " JOIN parts ON parts.id = part_id"
        " WHERE message_hash IN (SELECT hash FROM temp.gone_messages)"
    )
    for table in ("part_attachments", "part_fragments"):
        execute(
            f"DELETE FROM {table} WHERE part_id IN (SELECT id FROM parts"  # noqa: S608 - names of this file
            " WHERE message_hash IN (SELECT hash FROM temp.gone_messages))"
        )
    execute("DELETE FROM parts WHERE message_hash IN (SELECT hash FROM temp.gone_messages)")
    execute("DELETE FROM messages WHERE hash IN (SELECT hash FROM temp.gone_messages)")
    if execute("SELECT 1 FROM temp.gone_attachments LIMIT 1").fetchone():
        execute(_ATTACHMENTS)
    connection.executemany("DELETE FROM llm_stream_runs WHERE run = ?", [(run,) for run in runs])


def give_back(connection: sqlite3.Connection) -> None:
    """Merge what deleted text has left in the search index, and shrink the file by some pages.

    A file that llm made itself does not shrink; its free pages are used again.
    """
    connection.execute(
        "INSERT INTO turn_search_fts (turn_search_fts, rank) VALUES ('merge', ?)", [MERGED_PAGES]
    )
    # As a script: by `execute` it would be stepped once, and gives back a page a step.
    connection.executescript(f"PRAGMA incremental_vacuum({FREED_PAGES})")
