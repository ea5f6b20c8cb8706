"""Many rows by few statements.

A statement of its own for each row would let go of the interpreter's lock and take it again each
time, and have the search index write its part of the file each time. Sizes are fixed, so that
SQLite's cache has every statement that occurs.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

SIZES: Final = (60, 15, 4, 1)
"""Rows of one statement: as many as fit of the largest, then of the next.

Of the widest table that is 960 values: some SQLites take 999 at most.
"""

STATEMENTS: Final = 512
"""How many the cache of a connection has to hold: those of all tables in all sizes."""

Values = Sequence[Any]


def write(
    connection: sqlite3.Connection, head: str, rows: Sequence[Values], tail: str = ""
) -> None:
    """Write rows of one width, in their order.

    Args:
        connection: to what.
        head: the statement up to its values.
        rows: the values.
        tail: the rest of it.
    """
    for some in _split(rows):
        sql = _statement(head, len(some[0]), len(some), tail)
        connection.execute(sql, [*chain.from_iterable(some)])


def for_each(connection: sqlite3.Connection, sql: str, values: Values) -> Iterator[Any]:
    """Rows that a statement finds for any of these; `{}` in it is where they go."""
    for some in _split(values):
        yield from connection.execute(sql.format(", ".join("?" * len(some))), some)


@cache
def _statement(head: str, width: int, height: int, tail: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{head} VALUES {', '.join([row] * height)} {tail}"


def _split(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    start = 0
    for size in SIZES:
        while len(values) - start >= size:
            yield values[start : start + size]
            start += size
