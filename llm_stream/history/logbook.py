"""Rows into llm's tables, those of many runs by the same few statements.

What it leaves there is what llm's own `LogStore.log` leaves. `is_known` says whether llm and its
tables are those that this was written for.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Final

import llm
from llm.logs import TURN_SEARCH_INSERT_SQL, message_hash
from llm.migrations import MIGRATIONS

from llm_stream.history import bulk
from llm_stream.history.rows import Link, Rows, text_hash
from llm_stream.history.turns import now

LAST_MIGRATION: Final = "m027_turns_response_json"

COLUMNS: Final = {
    "messages": "hash parent_hash role provider_metadata",
    "parts": "id message_hash position type tool_name text payload",
    "attachments": "id type path url content",
    "part_attachments": "part_id attachment_id order",
    "schemas": "id content",
    "tools": "id hash name description input_schema plugin",
    "turn_tools": "turn_id tool_id instance_id",
    "turns": "id thread_id parent_message_hash tip_message_hash model resolved_model options_json"
    " schema_id input_tokens output_tokens token_details duration_ms datetime_utc response_json",
    "turn_search": "id turn_id prompt response",
    "threads": "id name tip_message_hash forked_from datetime_utc",
}
"""llm's tables that are written to, as they were when this was written."""

SEARCH_TRIGGERS: Final = frozenset({"turn_search_ai", "turn_search_ad", "turn_search_au"})

PARTS: Final = "INSERT INTO parts (message_hash, position, type, tool_name, text, payload)"

ATTACHED: Final = """
    INSERT INTO part_attachments (part_id, attachment_id, "order")
    SELECT id, ?, ? FROM parts WHERE message_hash = ? AND position = ?
"""

TOOLS: Final = """
    INSERT INTO tools (hash, name, description, input_schema, plugin) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (hash) DO NOTHING
"""

TURN_TOOLS: Final = """
    INSERT OR REPLACE INTO turn_tools (turn_id, tool_id, instance_id)
    SELECT ?, id, NULL FROM tools WHERE hash = ?
"""

TURNS: Final = f"INSERT OR REPLACE INTO turns ({COLUMNS['turns'].replace(' ', ', ')})"

SEARCH: Final = "INSERT INTO turn_search (turn_id, prompt, response)"

BORROWING: Final = """
    SELECT DISTINCT message_hash FROM parts
    WHERE message_hash IN ({}) AND type = 'text' AND text IS NULL
"""
"""Messages that refer to fragments of llm's command line; search leaves those out."""


@cache
def llm_is_known() -> bool:
    """Whether the llm that is installed logs as this module does."""
    text = "a \u00e9\n"
    same = text_hash("user", [{"type": "text", "text": text}], "b2:0") == message_hash(
        llm.user(text), "b2:0"
    )
    return same and MIGRATIONS[-1].__name__ == LAST_MIGRATION


def is_known(connection: sqlite3.Connection) -> bool:
    """Whether this database can be written to by `write`."""
    if not llm_is_known():
        return False
    applied = {name for (name,) in connection.execute("SELECT name FROM _llm_migrations")}
    triggers = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    }
    return (
        applied <= {each.__name__ for each in MIGRATIONS}
        and LAST_MIGRATION in applied
        and triggers >= SEARCH_TRIGGERS
        and all(_columns(connection, table) == names for table, names in COLUMNS.items())
    )


def _columns(connection: sqlite3.Connection, table: str) -> str:
    found = connection.execute("SELECT name FROM pragma_table_info(?)", [table])
    return " ".join(name for (name,) in found)


def write(connection: sqlite3.Connection, runs: Sequence[Rows]) -> None:
    """Write all that is to be written of these runs, in their order, inside a transaction."""
    links = {link.hash: link for rows in runs for link in rows.chain}
    there = {
        key
        for (key,) in bulk.for_each(
            connection, "SELECT hash FROM messages WHERE hash IN ({})", [*links]
        )
    }
    _write_messages(connection, [link for key, link in links.items() if key not in there])
    schemas = dict.fromkeys(rows.schema for rows in runs if rows.schema)
    connection.executemany("INSERT OR IGNORE INTO schemas (id, content) VALUES (?, ?)", schemas)
    bulk.write(connection, TURNS, [rows.turn for rows in runs])
    _write_tools(connection, runs)
    _write_search(connection, runs, there)
    bulk.write(
        connection,
        "INSERT INTO threads (id, name, tip_message_hash, datetime_utc)",
        [(rows.turn.thread_id, rows.name, rows.turn.tip_message_hash, now()) for rows in runs],
        "ON CONFLICT (id) DO UPDATE SET tip_message_hash = excluded.tip_message_hash",
    )


def name_threads(connection: sqlite3.Connection, names: Sequence[tuple[str, str]]) -> None:
    """Give threads their names: rows of id and name; nothing where there is no thread."""
    bulk.write(
        connection,
        "WITH named (id, name) AS (",
        names,
        # Those that are there, so nothing is inserted: SQLite before 3.33 has no UPDATE ... FROM.
        ") INSERT INTO threads (id, name) SELECT named.id, named.name FROM named"
        " JOIN threads USING (id) WHERE threads.name IS NOT named.name"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    )


def _write_messages(connection: sqlite3.Connection, links: Sequence[Link]) -> None:
    rows = [(link.hash, link.parent_hash, link.role) for link in links]
    bulk.write(connection, "INSERT INTO messages (hash, parent_hash, role)", rows)
    bulk.write(connection, PARTS, [part for link in links for part in link.parts])
    attached = [each for link in links for each in link.attached]
    if attached:
        connection.executemany(
            "INSERT OR REPLACE INTO attachments (id, type, path, url, content)"
            " VALUES (?, ?, ?, ?, ?)",
            [each for link in links for each in link.attachments],
        )
        connection.executemany(ATTACHED, attached)


def _write_tools(connection: sqlite3.Connection, runs: Sequence[Rows]) -> None:
    tools = {tool.hash: tool for rows in runs for tool in rows.tools}
    if tools:
        connection.executemany(TOOLS, tools.values())
        used = [(rows.turn.id, tool.hash) for rows in runs for tool in rows.tools]
        connection.executemany(TURN_TOOLS, used)


def _write_search(connection: sqlite3.Connection, runs: Sequence[Rows], there: set[str]) -> None:
    borrowing = {key for (key,) in bulk.for_each(connection, BORROWING, [*there])}
    found: list[Sequence[str]] = []
    for rows in runs:
        turn = rows.turn
        if borrowing & {turn.parent_message_hash, turn.tip_message_hash}:
            bulk.write(connection, SEARCH, found)
            found = []
            connection.execute(TURN_SEARCH_INSERT_SQL, {"turn_id": turn.id})
        elif rows.prompt or rows.said:
            found.append((turn.id, rows.prompt, rows.said))
    bulk.write(connection, SEARCH, found)
