"""What one socket has to send: replies first, then the streams in turn, each a bounded piece."""

import asyncio
import struct
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from llm_stream.engine.subscription import Subscription
from llm_stream.web.frames import StreamGap

TURN_BYTES: Final = 16_384
"""Most bytes one stream sends before the next one gets its turn."""

WRITE_BYTES: Final = 16_384
"""A write that has so many bytes gets no more, so that it has twice as many at most."""

MAX_REPLIES: Final = 256
"""Replies waiting for a client that does not read; then its commands wait too."""

_WHOLE_TEXT: Final = 0x81
_SHORT: Final = struct.Struct("!BB").pack
_LONG: Final = struct.Struct("!BBH").pack
_LONGER: Final = struct.Struct("!BBQ").pack


class Stream:
    """A client's name for one subscription on its socket."""

    def __init__(self, name: str, run: str, subscription: Subscription, outbox: "Outbox") -> None:
        self.name = name
        self.run = run
        self.subscription = subscription
        self._outbox = outbox
        self._head = b'{"stream":%b,"event":' % orjson.dumps(name)
        self.closed = False

    def wake(self) -> None:
        """There is something to send; called by the log."""
        if not self.closed:
            self._outbox.ready(self)

    def put_frames(self, out: list[bytes]) -> int:
        """Add a text frame an event, around the bytes the log holds, and one for lost events.

        Returns how many bytes that were.
        """
        total = 0
        subscription = self.subscription
        if subscription.log.holed and (gap := subscription.gap()):
            self._outbox.on_gap()
            lost = StreamGap(type="gap", stream=self.name, after=gap.after, first=gap.first)
            out.append(text_frame(orjson.dumps(lost)))
            total = len(out[-1])
        head, around = self._head, len(self._head) + 1
        for event in subscription.take(max_bytes=TURN_BYTES):
            size = around + len(event)
            out += (frame_header(size), head, event, b"}")
            total += size
        return total

    def close(self) -> None:
        """Leave the run's log. Idempotent."""
        self.closed = True
        self.subscription.log.forget(self.wake)
        self.subscription.close()


class Outbox:
    """Decides what goes next; holds no event itself, so a slow socket costs cursors only.

    Lists and futures, not deques and events: an empty one of these takes 600 bytes and more, and
    most sockets are idle. One task writes and one reads, so one of each waits.

    Args:
        on_end: called with a stream whose terminal event has been handed out.
        on_gap: called for each gap that a stream is told of.
    """

    __slots__ = ("_on_end", "_replies", "_room", "_something", "_turns", "on_gap")

    def __init__(
        self, on_end: Callable[[Stream], None], on_gap: Callable[[], object] = lambda: None
    ) -> None:
        self._on_end = on_end
        self.on_gap = on_gap
        self._replies: list[bytes] = []
        self._turns: list[Stream] = []
        self._something: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def reply(self, message: Mapping[str, object]) -> None:
        """Send a message of our own, before any event."""
        self._replies.append(text_frame(orjson.dumps(message)))
        if self._something is not None:
            self._go_on()

    def _go_on(self) -> None:
        # Whatever else comes in this turn of the loop finds nobody to wake.
        something, self._something = self._something, None
        if something is not None and not something.done():
            something.set_result(None)

    async def wait_for_room(self) -> None:
        """Return when fewer than 256 replies wait: the back-pressure on commands."""
        while len(self._replies) >= MAX_REPLIES:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def ready(self, stream: Stream) -> None:
        """The stream has events to send and waits for its turn."""
        self._turns.append(stream)
        if self._something is not None:
            self._go_on()

    def close(self) -> None:
        """Nothing is sent any more, and nobody is told of an end."""
        self._replies.clear()
        self._turns.clear()
        self._on_end = Stream.close

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._replies and not self._turns

    async def wait(self) -> None:
        """Return when there is something to send."""
        # No await between this look and the wait, or a wake-up could be lost.
        while self.empty:
            self._something = asyncio.get_running_loop().create_future()
            await self._something

    def take(self) -> bytes:
        """What to send now, in one write: all replies, then the streams in turn."""
        out: list[bytes] = []
        size = 0
        while size < WRITE_BYTES:
            if self._replies:
                size += sum(map(len, self._replies))
                out += self._replies
                self._replies.clear()
                if self._room is not None and not self._room.done():
                    self._room.set_result(None)
            elif self._turns:
                size += self._turn(self._turns.pop(0), out)
            else:
                break
        return b"".join(out)

    def _turn(self, stream: Stream, out: list[bytes]) -> int:
        if stream.closed:
            return 0
        size = stream.put_frames(out)
        subscription, log = stream.subscription, stream.subscription.log
        if subscription.index < log.count:
            self._turns.append(stream)
        elif log.sealed:
            self._on_end(stream)
        else:
            log.notify(stream.wake)
        return size


def frame_header(size: int) -> bytes:
    """What stands before so many bytes of a whole text message that is not masked.

    Source: RFC 6455, 5.2.
    """
    if size < 126:
        return _SHORT(_WHOLE_TEXT, size)
    return _LONG(_WHOLE_TEXT, 126, size) if size < 65_536 else _LONGER(_WHOLE_TEXT, 127, size)


def text_frame(message: bytes) -> bytes:
    """A message as one frame."""
    return frame_header(len(message)) + message
