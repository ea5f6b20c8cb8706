import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from llm_stream.events import kind_of, parts_of
from llm_stream.history.history import History
from llm_stream.recipes.spec import CacheControl

from .conftest import MARKS, MakeHistory, ended, rows, settled


async def test_a_completed_run_is_found_by_its_fingerprint(history: History) -> None:
    """What is found says what the run said, with its request and its marks."""
    spec, run = await ended("Plan a shop", "One, ", "two.")
    history.record(spec, run, MARKS)
    await settled(history)
    found = await history.find(run.info.key)

    assert found is not None
    assert found.recording.run == run.id
    assert [body for body in found.recording.said.bodies if b"text.delta" in body] == [
        parts_of(event)[1] for event in run.events() if kind_of(event) == "text.delta"
    ]
    assert found.marks == MARKS
    assert found.fresh_seconds == 3600
    assert b"Plan a shop" in found.request
    assert await history.find("0" * 64) is None


async def test_the_newest_answer_is_found(history: History, path: Path) -> None:
    """An answer takes the place of an earlier one to the same request; both rows stay."""
    first, second = await ended("q", "old"), await ended("q", "new")
    history.record(*first, MARKS)
    history.record(*second, MARKS)
    await settled(history)
    found = await history.find(first[1].info.key)

    assert found is not None
    assert found.recording.run == second[1].id
    assert rows(path, "SELECT count(*), count(entry) FROM llm_stream_runs") == [(2, 1)]


async def test_a_request_says_how_long_its_answer_is_fresh(history: History) -> None:
    """The request's own time goes before the configured one."""
    spec, run = await ended(cache=CacheControl(ttl_seconds=7))
    history.record(spec, run, MARKS)
    await settled(history)
    found = await history.find(run.info.key)

    assert found is not None
    assert found.fresh_seconds == 7


async def test_what_is_not_to_be_found_is_only_logged(history: History, path: Path) -> None:
    """No marks, a fallback's answer, a failure, a cancel: a row, and no answer."""
    unmarked = await ended("unmarked")
    history.record(*unmarked, None)
    fallback = await ended("fallback")
    fallback[1].substituted = True
    history.record(*fallback, MARKS)
    failed, cancelled = await ended("f", end="failed"), await ended("c", end="cancelled")
    history.record(*failed, MARKS)
    history.record(*cancelled, MARKS)
    await settled(history)

    for _, run in (unmarked, fallback, failed, cancelled):
        assert await history.find(run.info.key) is None
    assert rows(path, "SELECT count(*), count(entry) FROM llm_stream_runs") == [(4, 0)]
    assert rows(path, "SELECT * FROM llm_stream_names") == []


async def test_answers_are_forgotten_by_key(history: History, path: Path) -> None:
    """What was forgotten is not found, others are; the row stays in the log."""
    one, other = await ended("one"), await ended("other")
    history.record(*one, MARKS)
    history.record(*other, MARKS)
    forgotten = await history.forget([one[1].info.key, "0" * 64])

    assert forgotten == 1
    assert await history.find(one[1].info.key) is None
    assert await history.find(other[1].info.key) is not None
    assert rows(path, "SELECT count(*) FROM turns") == [(2,)]


async def test_answers_are_forgotten_by_name(history: History, path: Path) -> None:
    """Everything under the name goes, once, and nothing else."""
    tagged, other = await ended("tagged"), await ended("other")
    history.record(*tagged, MARKS | {"/tag:x": 0})
    history.record(*other, MARKS)

    assert await history.forget(name="/tag:x") == 1
    assert await history.forget(name="/tag:x") == 0
    assert await history.find(tagged[1].info.key) is None
    assert await history.find(other[1].info.key) is not None
    assert rows(path, "SELECT count(*) FROM llm_stream_names") == [(3,)]


async def test_only_what_is_old_is_forgotten(history: History) -> None:
    """With an age, younger answers under the name stay."""
    spec, run = await ended()
    history.record(spec, run, MARKS)

    assert await history.forget(name="/all:", older_than_seconds=60) == 0
    assert await history.find(run.info.key) is not None


async def test_a_run_under_way_is_void_when_its_name_is_forgotten(history: History) -> None:
    """What began before and ends after is not found; what begins after is."""
    before = await ended("before")
    await history.forget(name="/all:")
    after = await ended("after")
    history.record(*before, MARKS)
    history.record(*after, MARKS)
    await settled(history)

    assert await history.find(before[1].info.key) is None
    assert await history.find(after[1].info.key) is not None


async def test_a_full_queue_drops_and_counts(make_history: MakeHistory) -> None:
    """Beyond the bounds runs are dropped, by number and by bytes, and nobody waits."""
    spec, run = await ended("q", "x" * 10_000)
    few = make_history(queue_runs=0)
    small = make_history(queue_bytes=5_000)
    for history in (few, small):
        history.record(spec, run, MARKS)

        assert history.facts().dropped == 1
        assert history.facts().queued == 0


async def test_closing_writes_what_is_queued(make_history: MakeHistory, path: Path) -> None:
    """Nothing recorded before the end is lost, nothing after it is taken."""
    history = make_history()
    for number in range(200):
        history.record(*await ended(f"q {number}"), MARKS)
    await history.close()
    history.record(*await ended("late"), MARKS)

    assert rows(path, "SELECT count(*) FROM llm_stream_runs") == [(200,)]
    facts = history.facts()
    assert (facts.state, facts.written, facts.dropped) == ("closed", 200, 1)


async def test_a_run_that_cannot_be_written_stops_no_other(history: History, path: Path) -> None:
    """What SQLite cannot take is dropped, counted, and named by its kind."""
    spec, run = await ended("bad")
    history.record(replace(spec, options={"seed": "\ud800"}, model="\ud800"), run, None)
    history.record(*await ended("good"), None)
    await settled(history)

    assert rows(path, "SELECT count(*) FROM llm_stream_runs") == [(1,)]
    facts = history.facts()
    assert (facts.written, facts.dropped, facts.failures) == (1, 1, 1)
    assert facts.last_error == "UnicodeEncodeError"


async def test_a_corrupt_answer_is_no_answer(history: History, path: Path) -> None:
    """Bytes that are no entry are counted and found as nothing."""
    spec, run = await ended()
    history.record(spec, run, MARKS)
    await settled(history)
    for broken in ("x'00'", "substr(entry, 1, 40)"):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE llm_stream_runs SET entry = {broken}")

        assert await history.find(run.info.key) is None
    assert history.facts().failures == 2
