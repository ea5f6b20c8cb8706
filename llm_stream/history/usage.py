"""Sums of the account: what was asked, how it went, and what it has cost, by group.

Only reads; for one thread and its connection. SQLite does the sums, without the interpreter's
lock, so that they keep no stream waiting.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Any, Final, Literal, NamedTuple, get_args

from llm_stream.history.ledger import MINUTE, Reused
from llm_stream.history.spending import Spent

Dimension = Literal["model", "tier", "recipe", "client"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)
"""What can be grouped by, as a caller says it."""

COLUMNS: Final = {"client": "owner"}
"""Those that have another name in the tables."""

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""Nearest rank: the smallest time that so large a part of the runs did not exceed."""

Key = tuple[str, ...]
"""A group's values, in the order of the dimensions."""

Quantiles = dict[str, int]


class Ended(NamedTuple):
    """How calls ended for which a run was started."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0


@dataclass(slots=True)
class Sums:
    """The sums of one group; times in milliseconds, empty where no call was completed.

    `spent` is by the model that has answered, also if another was asked.
    """

    ended: Ended = field(default_factory=Ended)
    reused: Reused = field(default_factory=Reused)
    latency_ms: Quantiles = field(default_factory=dict)
    first_token_ms: Quantiles = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)


class Account(NamedTuple):
    """All groups, everything together, and since when there are records (None: there are none)."""

    groups: Mapping[Key, Sums]
    total: Sums
    oldest: float | None


class Asked(NamedTuple):
    """Of what: what ended at or after `since` (seconds since 1970); whose, None = everybody's."""

    since: float
    owner: str | None = None


MINE: Final = "(:owner IS NULL OR owner = :owner)"


def account(
    connection: sqlite3.Connection, dimensions: Sequence[Dimension], asked: Asked
) -> Account:
    """Sum up what was asked for.

    Calls from the cache and joined ones are counted by the minute: all of the one in which
    `since` lies count.
    """
    connection.execute("BEGIN")  # one state of the database for all sums
    try:
        groups = summed(connection, dimensions, asked)
        add_quantiles(connection, dimensions, asked, groups)
        everything: dict[Key, Sums] = {(): merged(groups.values())}
        add_quantiles(connection, (), asked, everything)
        (oldest,) = connection.execute(
            f"SELECT min(at) FROM (SELECT min(ended_at) AS at FROM llm_stream_account WHERE {MINE}"  # noqa: S608 - names of this file
            f" UNION ALL SELECT min(minute) FROM llm_stream_reused WHERE {MINE})",
            {"owner": asked.owner},
        ).fetchone()
    finally:
        connection.rollback()
    return Account(groups if dimensions else {}, everything[()], oldest)


def columns_of(dimensions: Sequence[Dimension]) -> str:
    """The columns to group by; without dimensions a constant, so that there is one group."""
    return ", ".join(COLUMNS.get(each, each) for each in dimensions) or "NULL"


def summed(
    connection: sqlite3.Connection, dimensions: Sequence[Dimension], asked: Asked
) -> dict[Key, Sums]:
    """The sums by group, without quantiles; groups in which nothing happened are not there."""
    found: dict[Key, Sums] = {}
    keys, width = columns_of(dimensions), len(dimensions)
    minute = asked.since - asked.since % MINUTE
    values = asked._asdict() | {"minute": minute}

    def rows(sql: str) -> Iterator[tuple[Sums, tuple[Any, ...]]]:
        for row in connection.execute(sql, values):
            yield found.setdefault(tuple(row[:width]), Sums()), row[max(width, 1) :]

    for sums, counts in rows(
        f"SELECT {keys}, sum(status = 'completed'), sum(status = 'failed'),"  # noqa: S608 - names of this file
        " sum(status = 'cancelled') FROM llm_stream_account"
        f" WHERE ended_at >= :since AND {MINE} AND NOT hidden GROUP BY {keys}"
    ):
        sums.ended = Ended(*counts)
    for sums, counts in rows(
        f"SELECT {keys}, sum(cached), sum(joined) FROM llm_stream_reused"  # noqa: S608 - names of this file
        f" WHERE minute >= :minute AND {MINE} GROUP BY {keys}"
    ):
        sums.reused = Reused(*counts)
    # Tokens are those of the model that has answered, whichever was asked.
    for sums, (model, *figures) in rows(
        f"SELECT {keys}, model, {', '.join(f'sum({name})' for name in Spent._fields)}"  # noqa: S608 - names of this file
        f" FROM llm_stream_spent WHERE ended_at >= :since AND {MINE} GROUP BY {keys}, model"
    ):
        sums.spent[model] = Spent(*figures)
    return found


def merged(groups: Iterable[Sums]) -> Sums:
    """The sums of all groups together, without quantiles."""
    total = Sums()
    for sums in groups:
        total.ended = Ended(*map(add, total.ended, sums.ended))
        total.reused = Reused(*map(add, total.reused, sums.reused))
        for model, spent in sums.spent.items():
            total.spent[model] = total.spent.get(model, Spent()).plus(spent)
    return total


def add_quantiles(
    connection: sqlite3.Connection,
    dimensions: Sequence[Dimension],
    asked: Asked,
    groups: Mapping[Key, Sums],
) -> None:
    """Fill in the quantiles of these groups, which are all there are."""
    keys, width = columns_of(dimensions), len(dimensions)
    for row in connection.execute(quantiles_of("total_ms", keys), asked._asdict()):
        times = row[max(width, 1) :]
        groups[row[:width]].latency_ms = dict(zip(QUANTILES, times, strict=True))
    for row in connection.execute(quantiles_of("first_token_ms", keys), asked._asdict()):
        times = row[max(width, 1) :]
        groups[row[:width]].first_token_ms = dict(zip(QUANTILES, times, strict=True))


def quantiles_of(column: str, keys: str) -> str:
    """The statement for the quantiles of that column, of callers' completed runs."""
    ranks = ", ".join(
        f"min(CASE WHEN place >= {part} * runs THEN ms END)" for part in QUANTILES.values()
    )
    columns = keys.split(", ")
    names = ", ".join(f"key{place}" for place in range(len(columns)))
    named = ", ".join(f"{column} AS key{place}" for place, column in enumerate(columns))
    return (
        f"SELECT {names}, {ranks} FROM (SELECT {named}, {column} AS ms,"  # noqa: S608 - names of this file
        f" row_number() OVER (PARTITION BY {keys} ORDER BY {column}) AS place,"
        f" count(*) OVER (PARTITION BY {keys}) AS runs"
        f" FROM llm_stream_account WHERE ended_at >= :since AND {MINE} AND NOT hidden"
        f" AND status = 'completed' AND {column} IS NOT NULL) GROUP BY {names}"
    )
