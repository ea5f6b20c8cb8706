"""The outbox: replies first, streams in turn, cursors instead of queues."""

import asyncio
from typing import Any

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.subscription import Subscription
from llm_stream.web.outbox import MAX_REPLIES, TURN_BYTES, Outbox, Stream

from ..problem import PROBLEM


def stream(outbox: Any, name: Any, count: Any, size: Any = 10, ended: Any = False) -> Any:
    """A stream over a log with so many events of so many characters."""
    log = EventLog("run_1", max_bytes=1 << 30)
    for _ in range(count):
        log.append({"type": "text.delta", "text": "x" * size})
    if ended:
        log.append({"type": "run.failed", "error": PROBLEM})
    return Stream(name, "run_1", Subscription(log, 0), outbox)


def test_replies_go_before_events() -> None:
    """A reply made after events were ready is still sent first."""
    outbox = Outbox(lambda _: None)
    stream(outbox, "a", 3).wake()
    outbox.reply({"type": "reply"})

    assert list(outbox.next_frames()) == [b'{"type":"reply"}']
    assert len(list(outbox.next_frames())) == 3


def test_streams_take_turns() -> None:
    """A stream with much to say does not keep another waiting for more than one turn."""
    outbox = Outbox(lambda _: None)
    large, small = stream(outbox, "large", 100, 1000), stream(outbox, "small", 1)
    large.wake()
    small.wake()

    first, second = list(outbox.next_frames()), list(outbox.next_frames())

    assert sum(map(len, first)) < TURN_BYTES + 2000
    assert second[0].startswith(b'{"stream":"small","event":{"id":"1-1"')


def test_an_ended_stream_is_told_once_all_is_out() -> None:
    """The end comes behind the terminal event."""
    ended: list[Stream] = []
    outbox = Outbox(ended.append)
    done = stream(outbox, "a", 2, ended=True)
    done.wake()

    assert len(list(outbox.next_frames())) == 3
    assert ended == [done]
    assert outbox.empty


def test_a_stream_that_caught_up_is_woken_by_its_log() -> None:
    """Nothing to send means no turn, until the log has more."""
    outbox = Outbox(lambda _: None)
    live = stream(outbox, "a", 1)
    live.wake()
    list(outbox.next_frames())
    assert outbox.empty

    live.subscription.log.append({"type": "text.delta", "text": "more"})

    assert not outbox.empty
    assert b"more" in next(outbox.next_frames())


def test_a_closed_stream_sends_nothing() -> None:
    """Closing takes the turn and the registration back."""
    outbox = Outbox(lambda _: None)
    gone = stream(outbox, "a", 2)
    gone.wake()
    gone.close()

    assert list(outbox.next_frames()) == []


def test_a_stream_left_while_it_is_being_sent_stops_there() -> None:
    """Between two frames the client may leave: nothing more of it goes out, and no false end."""
    ended: list[Stream] = []
    outbox = Outbox(ended.append)
    going = stream(outbox, "a", 3, ended=True)
    going.wake()
    frames = outbox.next_frames()
    next(frames)
    going.close()

    assert list(frames) == []
    assert ended == []
    assert outbox.empty


async def test_commands_wait_when_replies_are_not_read() -> None:
    """With 256 replies waiting there is no room until they are sent."""
    outbox = Outbox(lambda _: None)
    for _ in range(MAX_REPLIES):
        outbox.reply({})
    waiting = asyncio.create_task(outbox.wait_for_room())
    await asyncio.sleep(0)
    assert not waiting.done()

    list(outbox.next_frames())

    await waiting


async def test_waiting_ends_with_the_first_thing_to_send() -> None:
    """A reply made while the writer waits wakes it."""
    outbox = Outbox(lambda _: None)
    waiting = asyncio.create_task(outbox.wait())
    await asyncio.sleep(0)
    outbox.reply({})

    await waiting
