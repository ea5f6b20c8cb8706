"""Cursors in logs with several epochs and with holes."""

import asyncio
from typing import Any

import pytest

from llm_stream.engine.chapters import Place, parse_cursor
from llm_stream.engine.eventlog import EventLog, Gap, LogSealed
from llm_stream.engine.redislog.remote import CopiedLog
from llm_stream.engine.subscription import Subscription
from llm_stream.errors import InvalidCursor, LogUnavailable
from llm_stream.events import Event, encoded, position_of, t_ms_of


def events(*cursors: str, end: bool = False) -> list[Event]:
    """Events at these places; the last one terminal if so wished."""
    made = []
    for cursor in cursors:
        epoch, seq = map(int, cursor.split("-"))
        kind = "run.cancelled" if end and cursor == cursors[-1] else "text.delta"
        payload: Any = {"type": kind, "text": cursor}
        made.append(encoded(epoch, seq, "run_1", 7, payload))
    return made


def copied(*cursors: str, end: bool = False) -> EventLog:
    """A copy that holds these events."""
    log = CopiedLog("run_1")
    log.extend(events(*cursors, end=end))
    return log


def rest(log: EventLog, after: str) -> list[str]:
    """What a reader behind a cursor gets: cursors, and gaps as `after>first`."""
    seen = []
    with Subscription(log, log.locate(after), after=after) as reader:
        while reader.behind:
            if gap := reader.gap():
                seen.append(f"{gap.after}>{gap.first}")
            seen += [position_of(event) for event in reader.take()]
    return seen


@pytest.mark.parametrize("cursor", ["0-1", "1-0", "01-1", "1-1 ", "1", "-", "1-99999999999", "x"])
def test_what_is_no_cursor(cursor: str) -> None:
    """Only two numbers from 1 up, joined by a hyphen, are a cursor."""
    assert parse_cursor(cursor) is None


def test_reading_across_a_takeover() -> None:
    """Behind each cursor of either epoch come all later events; no gap is told."""
    log = copied("1-1", "1-2", "1-3", "2-1", "2-2")

    assert rest(log, "0") == ["1-1", "1-2", "1-3", "2-1", "2-2"]
    assert rest(log, "1-2") == ["1-3", "2-1", "2-2"]
    assert rest(log, "1-3") == ["2-1", "2-2"]
    assert rest(log, "2-1") == ["2-2"]


def test_a_cursor_that_was_lost_with_its_owner() -> None:
    """Who has seen more of an epoch than there is goes on with the next epoch."""
    log = copied("1-1", "1-2", "2-1")

    assert rest(log, "1-7") == ["2-1"]


@pytest.mark.parametrize("cursor", ["1-4", "2-3", "3-1", "4-1"])
def test_cursors_that_were_never_issued(cursor: str) -> None:
    """An epoch there was not, or a place behind the end, is refused."""
    log = copied("1-1", "1-2", "1-3", "3-1") if cursor == "2-3" else copied("1-1", "1-2", "1-3")
    with pytest.raises(InvalidCursor):
        log.locate(cursor)


def test_a_hole_is_told_once_and_only_to_who_misses_something() -> None:
    """Readers before or inside a hole get its borders; who stands right before its end does not."""
    log = copied("1-1", "1-2", "1-6", "1-7")

    assert rest(log, "0") == ["1-1", "1-2", "1-2>1-6", "1-6", "1-7"]
    assert rest(log, "1-4") == ["1-4>1-6", "1-6", "1-7"]
    assert rest(log, "1-5") == ["1-6", "1-7"]
    assert rest(log, "1-6") == ["1-7"]


def test_a_lost_beginning_is_told() -> None:
    """A log whose first events are gone says so to who reads from the start."""
    log = copied("1-5", "1-6")

    assert rest(log, "0") == ["0>1-5", "1-5", "1-6"]
    assert rest(log, "1-2") == ["1-2>1-5", "1-5", "1-6"]
    assert rest(log, "1-4") == ["1-5", "1-6"]


async def test_a_reader_that_needs_all_is_stopped_by_a_hole() -> None:
    """`batches` raises instead of skipping events."""
    log = copied("1-1", "1-3", end=True)
    seen = []
    with pytest.raises(LogUnavailable), Subscription(log, 0) as reader:
        async for batch in reader.batches():
            seen += [position_of(event) for event in batch]

    assert seen == ["1-1"]


async def test_events_lost_where_a_reader_waits_are_told() -> None:
    """Also if it has looked for them before there was anything behind them."""
    log = copied("1-1", "1-3")
    with Subscription(log, log.locate("1-3"), after="1-3") as reader:
        assert reader.gap() is None
        waiting = asyncio.create_task(anext(reader.batches()))
        await asyncio.sleep(0)
        log.extend(events("1-5"))
        with pytest.raises(LogUnavailable):
            await waiting


def test_copies_take_each_event_once() -> None:
    """What is not behind the last event, or behind the end, is left out."""
    log = copied("1-1", "1-2")
    log.extend(events("1-1", "1-2", "1-3", "2-1", end=True))
    log.extend(events("1-4", "2-1", "2-2"))

    assert [position_of(event) for event in log.everything()] == ["1-1", "1-2", "1-3", "2-1"]
    assert log.sealed
    assert not log.holed


def test_a_run_that_was_taken_over_goes_on_in_its_epoch() -> None:
    """Appended events count from 1 in the new epoch, or go on behind its first event."""
    log = EventLog("run_1", max_bytes=10_000, epoch=2, earlier=events("1-1", "1-2"))
    assert position_of(log.append({"type": "text.delta", "text": "x"})) == "2-1"
    log = EventLog("run_1", max_bytes=10_000, epoch=2, earlier=events("1-1", "1-2", "2-1"))
    assert position_of(log.append({"type": "text.delta", "text": "x"})) == "2-2"
    assert rest(log, "1-2") == ["2-1", "2-2"]
    assert t_ms_of(log.append({"type": "text.delta", "text": "y"})) >= 7


def test_a_closed_log_takes_only_what_was_written_elsewhere() -> None:
    """After a takeover its writer here is refused, and readers get the new owner's events."""
    log = EventLog("run_1", max_bytes=10_000)
    log.append({"type": "text.delta", "text": "x"})
    log.close()
    with pytest.raises(LogSealed):
        log.append({"type": "text.delta", "text": "y"})
    log.extend(events("2-1", end=True))

    assert log.sealed
    assert rest(log, "0") == ["1-1", "2-1"]


def test_what_a_reader_has_seen_elsewhere_is_not_shown_again() -> None:
    """A reader ahead of the copy gets only what is behind its cursor."""
    log = copied("1-1", "1-2")
    with Subscription(log, 2, after="1-4", skip=Place(1, 4)) as reader:
        log.extend(events("1-3", "1-4"))
        assert reader.take() == []
        log.extend(events("1-5", "1-6"))
        assert [position_of(event) for event in reader.take()] == ["1-5", "1-6"]
        assert reader.gap() is None


def test_a_gap_says_where_it_is() -> None:
    """Its borders are cursors."""
    assert copied("1-1", "1-9").gap_at(1, "1-1") == Gap("1-1", "1-9")
