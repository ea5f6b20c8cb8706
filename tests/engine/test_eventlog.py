"""The log: places, cursors, bounds, wake-ups."""

import asyncio
from typing import Any

import orjson
import pytest

from llm_stream.engine.eventlog import EventLog, LogSealed
from llm_stream.engine.redislog.remote import CopiedLog
from llm_stream.engine.subscription import Subscription
from llm_stream.errors import InvalidCursor, OutputTooLarge
from llm_stream.events import decoded, encoded, position_of, t_ms_of
from llm_stream.payloads import RunFailed, TextDelta

from ..problem import PROBLEM
from .conftest import Clock


def delta(text: str = "x") -> TextDelta:
    """A text payload."""
    return {"type": "text.delta", "text": text}


FAILED: RunFailed = {"type": "run.failed", "error": PROBLEM}


def filled(count: int, max_bytes: int = 10_000_000) -> EventLog:
    """A log with `count` text events."""
    log = EventLog("run_1", max_bytes=max_bytes)
    for place in range(count):
        log.append(delta(str(place)))
    return log


def test_an_event_carries_its_place_run_time_and_payload(clock: Any) -> None:
    """The encoded event is the payload behind its id, run and milliseconds since birth."""
    log = EventLog("run_1", max_bytes=1000, clock=clock)
    clock.now += 0.412

    event = log.append(delta("Hel"))

    assert event == (b'{"id":"1-1","run":"run_1","t_ms":412,"type":"text.delta","text":"Hel"}')
    assert orjson.loads(event) == decoded(event)


def test_places_are_contiguous_from_one() -> None:
    """Cursors count 1-1, 1-2, ... without a hole."""
    log = filled(3)

    assert [position_of(e) for e in log.slice(0, limit=9)] == ["1-1", "1-2", "1-3"]
    assert log.cursor == "1-3"


def test_epoch_is_the_first_half_of_every_cursor() -> None:
    """A log of epoch 7 issues cursors 7-1, 7-2 and refuses those of other epochs."""
    log = EventLog("run_1", max_bytes=1000, epoch=7)
    log.append(delta())

    assert log.cursor == "7-1"
    assert log.locate("7-1") == 1
    with pytest.raises(InvalidCursor):
        log.locate("1-1")


@pytest.mark.parametrize(("after", "index"), [("0", 0), ("now", 3), ("1-1", 1), ("1-3", 3)])
def test_a_cursor_is_exclusive(after: Any, index: Any) -> None:
    """Reading after a cursor starts at the event behind it."""
    assert filled(3).locate(after) == index


@pytest.mark.parametrize(
    "after",
    ["1-4", "2-1", "1-0", "0-1", "", "1", "-1", "1-", "01-1", "1-01", "1-1 ", "1-1\n", "x",
     "\u0663-1", "1-99999999999999999999", "NOW", "1-1-1"],
)  # fmt: skip
def test_a_cursor_that_was_never_issued_is_refused(after: Any) -> None:
    """Anything but "0", "now" and issued cursors raises, naming the field."""
    with pytest.raises(InvalidCursor) as caught:
        filled(3).locate(after)

    assert caught.value.field == "after"


def test_a_full_log_refuses_more_but_takes_its_end() -> None:
    """Over `max_bytes` an append raises, and the terminal event still fits."""
    log = filled(2, max_bytes=600)
    with pytest.raises(OutputTooLarge):
        log.append(delta("y" * 400))

    log.append(FAILED)

    assert log.sealed
    assert log.cursor == "1-3"


def test_nothing_follows_the_terminal_event() -> None:
    """An append to a sealed log is a bug and says so."""
    log = filled(1)
    log.append(FAILED)

    with pytest.raises(LogSealed):
        log.append(delta())


def test_a_slice_stops_at_its_bytes_but_never_starves() -> None:
    """A slice holds at most `max_bytes` of data, and one event however large it is."""
    log = filled(10)
    one = len(log.slice(0, limit=1)[0])

    assert len(log.slice(0, limit=9, max_bytes=3 * one)) == 3
    assert len(log.slice(0, limit=9, max_bytes=1)) == 1
    assert log.slice(10, limit=9) == []


async def test_many_appends_in_one_turn_wake_a_reader_once() -> None:
    """A waiting reader is woken once and then takes everything there is."""
    log = filled(0)
    reader = Subscription(log, 0)
    wakes = []
    log.notify(lambda: wakes.append(len(log)))
    task = asyncio.create_task(reader.more())
    await asyncio.sleep(0)

    for _ in range(5):
        log.append(delta())
    await task

    assert wakes == [1]
    assert len(reader.take()) == 5


async def test_a_reader_that_has_something_to_take_does_not_wait() -> None:
    """`more` returns at once when behind, and when the log has ended."""
    log = filled(1)
    reader = Subscription(log, 0)
    assert await reader.more()
    reader.take()
    log.append(FAILED)
    reader.take()

    assert not await reader.more()
    assert reader.ended


async def test_who_waits_for_many_is_not_woken_by_each() -> None:
    """Only when they are there, or when no more will be; at the end nothing is left."""
    log = filled(1)
    reader = Subscription(log, 0)
    for ending in (False, True):
        task = asyncio.create_task(reader.more(4))
        for _ in range(3):
            await asyncio.sleep(0)
            assert not task.done()
            log.append(FAILED if ending and len(log) == 6 else delta())
        assert await task
        assert len(reader.take()) == (3 if ending else 4)

    assert not await reader.more(4)


async def test_who_waits_for_many_hears_of_lost_events() -> None:
    """What follows is not the whole, so there is nothing more to wait for."""
    log = CopiedLog("run_1")
    reader = Subscription(log, 0)
    task = asyncio.create_task(reader.more(1000))
    await asyncio.sleep(0)
    log.extend([encoded(1, 3, "run_1", 0, delta())])

    assert await task
    assert reader.gap() is not None


@pytest.mark.parametrize("least", [1, 3])
async def test_a_cancelled_wait_leaves_no_trace(least: int) -> None:
    """A reader cancelled while waiting is not called at the next append."""
    log = filled(0)
    reader = Subscription(log, 0)
    task = asyncio.create_task(reader.more(least))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    log.append(delta())

    assert [position_of(e) for e in reader.take()] == ["1-1"]


async def test_batches_end_with_the_terminal_event() -> None:
    """`batches` yields each event once, in order, the terminal one last."""
    log = filled(3)
    reader = Subscription(log, 1)
    seen: list[str] = []

    async def follow() -> None:
        async for batch in reader.batches():
            seen.extend(position_of(event) for event in batch)

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    log.append(delta())
    await asyncio.sleep(0)
    log.append(FAILED)
    await task

    assert seen == ["1-2", "1-3", "1-4", "1-5"]


async def test_subscribing_at_the_instant_of_the_end_always_ends() -> None:
    """Whenever a reader comes around the terminal append, it reads it and stops (1,000 times)."""
    for turn in range(1000):
        log = filled(1)
        loop = asyncio.get_running_loop()
        loop.call_soon(log.append, FAILED)
        if turn % 2:
            await asyncio.sleep(0)
        reader = Subscription(log, log.locate("now") if turn % 3 else 0)

        async for _ in reader.batches():
            pass

        assert reader.ended


def slowly(count: int, clock: Any, *, seconds: float = 0.05) -> EventLog:
    """A log whose events came one by one, so far apart."""
    log = EventLog("run_1", max_bytes=10_000_000, clock=clock)
    for place in range(count):
        clock.now += seconds
        log.append(delta(f" word {place}"))
    return log


def test_what_came_a_while_ago_takes_little_memory(clock: Any) -> None:
    """Its bytes are the same as ever, from every place on."""
    log = slowly(1000, clock)
    said = [
        encoded(1, n + 1, "run_1", log_ms, {"type": "text.delta", "text": f" word {n}"})
        for n, log_ms in enumerate(t_ms_of(event) for event in log.everything())
    ]

    assert log.packed
    assert log.bytes < sum(map(len, said)) / 4
    for start in (0, 1, 31, 32, 500, 998, 999, 1000):
        with Subscription(log, start) as reader:
            found: list[bytes] = []
            while batch := reader.take(limit=100):
                found += batch
            assert found == said[start:]
    assert (log.cursor, log.newest, len(log)) == ("1-1000", said[-1], 1000)


def test_what_has_just_come_is_not_packed(clock: Any) -> None:
    """Within a fifth of a second somebody is about to read it."""
    assert not slowly(500, clock, seconds=0.00039).packed


def test_packing_moves_no_bound(clock: Any) -> None:
    """A log takes as many events as ever."""
    log = EventLog("run_1", max_bytes=50_000, clock=clock)
    quick = EventLog("run_1", max_bytes=50_000, clock=Clock())
    for each, seconds in ((log, 0.05), (quick, 0.0)):
        with pytest.raises(OutputTooLarge):
            while True:
                clock.now += seconds
                each.append(delta("x" * 100))

    assert log.packed
    assert len(log) == pytest.approx(len(quick), rel=0.02)  # later times have more digits


def test_a_copy_is_packed_and_its_holes_are_told() -> None:
    """Events of another replica, of which some are lost behind those that are packed."""
    events = [encoded(1, seq, "run_1", seq, delta()) for seq in range(1, 301)]
    log = CopiedLog("run_1")
    for start in (0, 100, 201):
        log.extend(events[start : start + 99])
    reader = Subscription(log, 0)
    found: list[bytes] = []
    gaps = []
    while reader.behind:
        if gap := reader.gap():
            gaps.append((gap.after, gap.first))
        found += reader.take()

    assert log.packed
    assert found == [*events[:99], *events[100:199], *events[201:300]]
    assert gaps == [("1-99", "1-101"), ("1-199", "1-202")]


def test_a_log_that_has_ended_is_left_as_it_is(clock: Any) -> None:
    """Other threads read it then, without a lock: neither copies nor mistakes pack it."""
    log = slowly(100, clock, seconds=0.001)
    log.append(FAILED)
    clock.now += 10
    log.extend([encoded(1, 102, "run_1", 1, delta())])
    with pytest.raises(LogSealed):
        log.append(delta())

    assert not log.packed
    assert len(log) == 101


def test_closing_calls_back_once() -> None:
    """`close` tells its owner once, however often it is called."""
    calls = []
    with Subscription(filled(0), 0, lambda: calls.append(1)) as reader:
        reader.close()

    assert calls == [1]
