"""Many jobs in one transaction: together as if one by one, and one fault costs one job."""

import asyncio
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from llm_stream.history import batches
from llm_stream.history.breath import Breath
from llm_stream.history.bulk import SIZES
from llm_stream.history.database import Store, open_store
from llm_stream.history.jobs import Counting, Forgetting
from llm_stream.history.ledger import Reuse, Reused
from llm_stream.history.turns import Finished
from llm_stream.history.writing import Writing

from .conftest import MARKS, MakeHistory, ended, rows, settled


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """A new database."""
    store = open_store(path)
    yield store
    store.db.conn.close()


async def writing(prompt: str, answer: str = "Hello", at: float = 1.0, **spec: Any) -> Writing:
    """A run to be written, whose answer is kept."""
    return Writing(Finished(*await ended(prompt, answer, **spec), MARKS, at), 3600, 0)


def write(store: Store, *jobs: batches.Job) -> tuple[int, list[batches.Job], list[Exception]]:
    """How many were refused, which were written, and why others were dropped."""
    faults: list[Exception] = []
    refused, written = batches.write(store, jobs, faults.append, Breath(hurried=True))
    return refused, written, faults


async def test_of_equal_runs_the_last_answer_is_kept(store: Store, path: Path) -> None:
    """Also if all of them are written at once; and only its names are there."""
    jobs = [await writing("same", answer) for answer in ("first", "second", "third")]

    assert write(store, *jobs) == (0, jobs, [])
    kept = rows(path, "SELECT run, entry IS NOT NULL FROM llm_stream_runs ORDER BY rowid")
    assert kept == [(jobs[0].name, 0), (jobs[1].name, 0), (jobs[2].name, 1)]
    names = rows(path, "SELECT DISTINCT run, count(*) FROM llm_stream_names")
    assert names == [(jobs[2].name, len(MARKS))]


async def test_a_run_that_is_recorded_twice_is_there_once(store: Store, path: Path) -> None:
    """The later record takes the place of the earlier one, in the account as well."""
    spec, run = await ended("twice")
    jobs = [Writing(Finished(spec, run, MARKS, at), 3600, 0) for at in (1.0, 2.0)]
    write(store, *jobs)

    assert rows(path, "SELECT ended_at FROM llm_stream_runs") == [(2.0,)]
    assert rows(path, "SELECT ended_at FROM llm_stream_account") == [(2.0,)]


async def test_jobs_are_written_in_their_order(store: Store, path: Path) -> None:
    """What is forgotten between two runs is the first one's answer."""
    first, last = await writing("a"), await writing("b")

    def forget(connection: Any) -> int:
        return int(connection.execute("UPDATE llm_stream_runs SET entry = NULL").rowcount)

    counts: list[int] = []
    between = Forgetting(forget, counts.append)
    for job in write(store, first, between, last)[1]:
        job.done()

    assert counts == [1]
    kept = "SELECT run FROM llm_stream_runs WHERE entry IS NOT NULL"
    assert rows(path, kept) == [(last.name,)]


async def test_an_sqlite_that_takes_few_values_writes_as_many_at_once(store: Store) -> None:
    """999 values a statement, as some are built, are enough: nothing is written run by run."""
    jobs = [await writing(f"q {number}") for number in range(SIZES[0])]
    said: list[str] = []
    store.db.conn.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
    store.db.conn.set_trace_callback(said.append)

    assert write(store, *jobs) == (0, jobs, [])
    assert not [sql for sql in said if sql.startswith("SAVEPOINT")]


async def test_a_job_at_fault_is_dropped_alone(store: Store, path: Path) -> None:
    """What was written with it is written without it."""
    first, last = await writing("a"), await writing("b")
    fault = Counting({Reuse(0, None, "m", "", ""): Reused(1)}, lambda: None)  # type: ignore[arg-type]
    refused, written, faults = write(store, first, fault, last)

    assert (refused, written) == (1, [first, last])
    assert [type(each).__name__ for each in faults] == ["IntegrityError"]
    assert rows(path, "SELECT prompt FROM turn_search") == [("a",), ("b",)]


async def test_runs_wait_for_others_but_not_if_somebody_waits(
    make_history: MakeHistory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is not written at once; it is as soon as someone asks for what is recorded."""
    monkeypatch.setattr("llm_stream.history.writer.GATHER_SECONDS", 3600.0)
    history = make_history()
    await settled(history)
    history.record(*await ended("a"), MARKS)
    await history.past.run("run_1", "")
    written = history.facts().written
    history.record(*await ended("b"), MARKS)
    await history.close()

    assert written == 1
    assert rows(path, "SELECT prompt FROM turn_search") == [("a",), ("b",)]


@pytest.mark.parametrize("bound", ["queue_runs", "queue_bytes"])
async def test_what_is_enough_is_written(
    make_history: MakeHistory, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """Half a queue does not wait for more."""
    monkeypatch.setattr("llm_stream.history.writer.GATHER_SECONDS", 3600.0)
    runs = [await ended(f"q {number}") for number in range(4)]
    size = Finished(*runs[0], MARKS, 0.0).size if bound == "queue_bytes" else 1
    history = make_history(**{bound: 7 * size})
    await settled(history)
    for spec, run in runs:
        history.record(spec, run, MARKS)
    while history.facts().written < 3:
        await asyncio.sleep(0)

    assert history.facts().dropped == 0


@pytest.mark.parametrize("known", [True, False])
async def test_the_loop_has_its_turn_between_jobs(store: Store, known: bool) -> None:
    """And for a while between statements; not where each run takes a hundred of them."""
    pauses = {False: 0, True: 0}  # by whether the database is locked

    def pause(_seconds: float) -> None:
        pauses[store.db.conn.in_transaction] += 1

    breath = Breath(work=count(1).__next__, sleep=pause)
    store.db.conn.breath = breath
    jobs = [await writing(name) for name in "abc"]
    if not known:
        store.db.conn.execute("DROP TRIGGER turn_search_au")
        pauses.update({False: 0, True: 0})
    faults: list[Exception] = []
    batches.write(store, jobs, faults.append, breath)

    assert not faults
    assert pauses[False] >= len(jobs)
    assert bool(pauses[True]) == known
