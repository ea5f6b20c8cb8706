"""Sums of the account, against sums made by hand."""

import asyncio
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from llm_stream.errors import HistoryUnavailable
from llm_stream.history import ledger
from llm_stream.history.database import open_store
from llm_stream.history.ledger import Entry, Reuse, Reused
from llm_stream.history.reuses import MAX_WAITING
from llm_stream.history.spending import Spent
from llm_stream.history.usage import COLUMNS, DIMENSIONS, QUANTILES, Asked, Dimension, Sums, account

from .conftest import MakeHistory, ended, settled

SUBSETS: Any = [
    chosen for size in range(len(DIMENSIONS) + 1) for chosen in combinations(DIMENSIONS, size)
]


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """A database with all tables."""
    store: Any = open_store(path)
    with closing(store.db.conn) as connection:
        yield connection


def made_up(count: int, seed: int = 0) -> list[Entry]:
    """Runs of all kinds, repeatable."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        model, other = draw.choice("ab"), draw.choice("abc")
        status = draw.choice(("completed", "completed", "failed", "cancelled"))
        made.append(
            Entry(
                run=f"run_{number}",
                ended_at=float(number),
                recipe=draw.choice(("generate", "evaluate")),
                model=model,
                tier=draw.choice(("", "fast")),
                owner=draw.choice(("", "o")),
                hidden=draw.random() < 0.3,
                status=status,
                total_ms=draw.randrange(1000),
                first_token_ms=draw.choice((None, draw.randrange(100))),
                spent={
                    each: Spent(1, *(draw.randrange(9) for _ in range(4)))
                    for each in {model, other}
                },
            )
        )
    return made


def key_of(entry: Any, dimensions: Sequence[Dimension], model: str | None = None) -> Any:
    """The group of a run, or of what a model spent in it."""
    values = {each: getattr(entry, COLUMNS.get(each, each)) for each in dimensions}
    if model is not None and "model" in values:
        values["model"] = model
    return tuple(values.values())


def quantiles(times: list[int]) -> dict[str, int]:
    """By nearest rank."""
    ordered = sorted(times)
    return {
        name: next(time for place, time in enumerate(ordered, 1) if place >= part * len(ordered))
        for name, part in QUANTILES.items()
        if ordered
    }


def by_hand(
    entries: list[Entry], reused: dict[Reuse, Reused], dimensions: Sequence[Dimension]
) -> dict[Any, Sums]:
    """The same sums, as plainly as can be."""
    sums: dict[Any, Sums] = {}
    asked = [entry for entry in entries if not entry.hidden]
    for entry in asked:
        group = sums.setdefault(key_of(entry, dimensions), Sums())
        group.ended = group.ended._replace(**{entry.status: getattr(group.ended, entry.status) + 1})
    for entry in entries:
        for model, spent in entry.spent.items():
            group = sums.setdefault(key_of(entry, dimensions, model), Sums())
            group.spent[model] = group.spent.get(model, Spent()).plus(spent)
    for reuse, counts in reused.items():
        group = sums.setdefault(key_of(reuse, dimensions), Sums())
        group.reused = Reused(*map(sum, zip(group.reused, counts, strict=True)))
    for key, group in sums.items():
        done = [e for e in asked if e.status == "completed" and key_of(e, dimensions) == key]
        group.latency_ms = quantiles([entry.total_ms for entry in done])
        group.first_token_ms = quantiles(
            [entry.first_token_ms for entry in done if entry.first_token_ms is not None]
        )
    return sums


@pytest.mark.parametrize("dimensions", SUBSETS, ids=[",".join(each) or "all" for each in SUBSETS])
def test_sums_are_those_made_by_hand(
    connection: sqlite3.Connection, dimensions: tuple[Dimension, ...]
) -> None:
    """For every way to group, since any moment."""
    entries = made_up(300)
    reused = {
        Reuse(minute, recipe, model, "", ""): Reused(minute // 60, 1)
        for minute in (0, 120, 180)
        for recipe in ("generate", "reason")
        for model in ("a", "d")
    }
    for entry in entries:
        ledger.write(connection, [entry])
    ledger.add(connection, reused)
    connection.commit()

    for since in (0, 150, 299):
        late = [entry for entry in entries if entry.ended_at >= since]
        counted = {r: n for r, n in reused.items() if r.minute >= since - since % 60}
        found = account(connection, dimensions, Asked(since))

        assert found.groups == (by_hand(late, counted, dimensions) if dimensions else {})
        assert found.total == by_hand(late, counted, ())[()]
        assert found.oldest == 0


@pytest.mark.parametrize("owner", ["", "x", "nobody"])
def test_a_clients_account_is_its_own(connection: sqlite3.Connection, owner: str) -> None:
    """As if there were no others."""
    entries = [
        replace(entry, owner="x" if number % 3 else "") for number, entry in enumerate(made_up(60))
    ]
    reused = {Reuse(0, "generate", "a", "", who): Reused(1, 2) for who in ("", "x")}
    for entry in entries:
        ledger.write(connection, [entry])
    ledger.add(connection, reused)
    connection.commit()
    own = [entry for entry in entries if entry.owner == owner]
    counted = {reuse: count for reuse, count in reused.items() if reuse.owner == owner}
    found = account(connection, ("model",), Asked(0, owner))

    assert found.groups == by_hand(own, counted, ("model",))
    assert (found.oldest is None) == (owner == "nobody")


def test_an_empty_database_has_an_empty_account(connection: sqlite3.Connection) -> None:
    """No groups, no quantiles, nothing since ever."""
    assert account(connection, ("model",), Asked(0)) == ({}, Sums(), None)


async def test_what_has_just_ended_is_in_the_account(make_history: MakeHistory) -> None:
    """Nobody has to wait for the writer before asking."""
    history = make_history()
    for number in range(20):
        spec, run = await ended(f"prompt {number}", end="failed" if number % 4 else "completed")
        history.record(spec, run, None)
        history.reused(spec, "cached" if number % 2 else "joined")
        found = await history.usage((), Asked(0))

        assert sum(found.total.ended) == number + 1
        assert sum(found.total.reused) == number + 1
    assert found.total.ended == (5, 15, 0)
    assert found.total.reused == (10, 10)


async def test_counts_survive_the_process(make_history: MakeHistory) -> None:
    """What was not yet handed over is written at the end."""
    history = make_history()
    spec, _ = await ended()
    history.reused(spec, "cached")
    await history.close()

    assert (await make_history().usage((), Asked(0))).total.reused == Reused(1, 0)


@pytest.mark.usefixtures("hasty")
async def test_a_database_that_is_locked_is_no_answer(
    make_history: MakeHistory, path: Path
) -> None:
    """Whoever asks is told, and the fault is counted; runs are not touched."""
    await make_history().close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        history = make_history()
        with pytest.raises(HistoryUnavailable):
            await history.usage((), Asked(0))
        assert history.facts().failures > 0


async def test_who_asks_for_the_account_does_not_fill_the_queue(
    make_history: MakeHistory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often, while the database is locked: one mark is under way, and runs find room."""
    monkeypatch.setattr("llm_stream.history.history.SETTLE_SECONDS", 0.01)
    history = make_history(queue_runs=10)
    await settled(history)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        history.record(*await ended("held up"), None)
        await asyncio.gather(*(history.usage((), Asked(0)) for _ in range(50)))
        queued = history.facts().queued
        other.execute("ROLLBACK")

    assert queued <= 2


async def test_counts_that_were_dropped_hold_up_no_others(
    make_history: MakeHistory, path: Path
) -> None:
    """Whatever became of earlier ones, later ones are written."""
    history = make_history(retry_seconds=0.0)
    spec, _ = await ended()
    for _ in range(2 * MAX_WAITING):
        await settled(history)
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE IF EXISTS llm_stream_reused")
        history.reused(spec, "cached")
        with suppress(HistoryUnavailable):
            await history.usage((), Asked(0))
    await settled(history)
    history.reused(spec, "joined")

    assert (await history.usage((), Asked(0))).total.reused.joined == 1
