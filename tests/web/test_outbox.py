"""The outbox: replies first, streams in turn, cursors instead of queues."""

import asyncio
from typing import Any

import pytest

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.subscription import Subscription
from llm_stream.web.outbox import MAX_REPLIES, TURN_BYTES, WRITE_BYTES, Outbox, Stream, text_frame

from ..frames import TEXT, frame, frames_in
from ..problem import PROBLEM


def stream(outbox: Any, name: Any, count: Any, size: Any = 10, ended: Any = False) -> Any:
    """A stream over a log with so many events of so many characters."""
    log = EventLog("run_1", max_bytes=1 << 30)
    for _ in range(count):
        log.append({"type": "text.delta", "text": "x" * size})
    if ended:
        log.append({"type": "run.failed", "error": PROBLEM})
    return Stream(name, "run_1", Subscription(log, 0), outbox)


def taken(outbox: Outbox) -> list[bytes]:
    """The messages of the next write."""
    found = frames_in(outbox.take())
    assert {first for first, _ in found} <= {TEXT}
    return [payload for _, payload in found]


def test_replies_go_before_events() -> None:
    """A reply made after events were ready is still sent first."""
    outbox = Outbox(lambda _: None)
    stream(outbox, "a", 3).wake()
    outbox.reply({"type": "reply"})

    messages = taken(outbox)

    assert messages[0] == b'{"type":"reply"}'
    assert len(messages) == 4


def test_streams_take_turns() -> None:
    """A stream with much to say does not keep another waiting for more than one turn."""
    outbox = Outbox(lambda _: None)
    large, small = stream(outbox, "large", 100, 1000), stream(outbox, "small", 1)
    large.wake()
    small.wake()

    messages: list[bytes] = []
    while not outbox.empty:
        messages += taken(outbox)

    first = b'{"stream":"small","event":{"id":"1-1"'
    place = next(at for at, message in enumerate(messages) if message.startswith(first))
    assert sum(map(len, messages[:place])) < TURN_BYTES + 2000


def test_one_write_has_what_many_streams_have_to_say() -> None:
    """Events of all streams that are ready, and the end of those that are over, go out together."""
    outbox = Outbox(lambda done: outbox.reply({"ended": done.name}))
    for number in range(50):
        stream(outbox, str(number), 1, ended=number == 0).wake()

    messages = taken(outbox)

    assert len(messages) == 50 + 1 + 1
    assert messages[2] == b'{"ended":"0"}'
    assert outbox.empty


def test_a_write_is_bounded() -> None:
    """However much streams have to say, a write has its bound and a turn at most."""
    outbox = Outbox(lambda _: None)
    for number in range(3):
        stream(outbox, str(number), 100, 1000).wake()
    sizes = []

    while not outbox.empty:
        sizes.append(len(outbox.take()))

    assert max(sizes) < WRITE_BYTES + TURN_BYTES + 2000
    assert sum(sizes) > 300_000


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_is_as_the_standard_says(size: int) -> None:
    """Its length is in 7, 16 or 64 bits, the shortest that holds it."""
    assert text_frame(b"x" * size) == frame(TEXT, b"x" * size, mask=b"")


def test_an_ended_stream_is_told_once_all_is_out() -> None:
    """The end comes behind the terminal event."""
    ended: list[Stream] = []
    outbox = Outbox(ended.append)
    done = stream(outbox, "a", 2, ended=True)
    done.wake()

    assert len(taken(outbox)) == 3
    assert ended == [done]
    assert outbox.empty


def test_a_stream_that_caught_up_is_woken_by_its_log() -> None:
    """Nothing to send means no turn, until the log has more."""
    outbox = Outbox(lambda _: None)
    live = stream(outbox, "a", 1)
    live.wake()
    outbox.take()
    assert outbox.empty

    live.subscription.log.append({"type": "text.delta", "text": "more"})

    assert not outbox.empty
    assert b"more" in outbox.take()


def test_a_closed_stream_sends_nothing() -> None:
    """Closing takes the turn and the registration back."""
    outbox = Outbox(lambda _: None)
    gone = stream(outbox, "a", 2)
    gone.wake()
    gone.close()

    assert outbox.take() == b""


async def test_commands_wait_when_replies_are_not_read() -> None:
    """With 256 replies waiting there is no room until they are sent."""
    outbox = Outbox(lambda _: None)
    for _ in range(MAX_REPLIES):
        outbox.reply({})
    waiting = asyncio.create_task(outbox.wait_for_room())
    await asyncio.sleep(0)
    assert not waiting.done()

    outbox.take()

    await waiting


async def test_waiting_ends_with_the_first_thing_to_send() -> None:
    """A reply made while the writer waits wakes it."""
    outbox = Outbox(lambda _: None)
    waiting = asyncio.create_task(outbox.wait())
    await asyncio.sleep(0)
    outbox.reply({})

    await waiting
