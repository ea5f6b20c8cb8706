"""What one socket has to send: replies first, then the streams in turn, each a bounded piece."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import orjson

from llm_stream.engine.subscription import Subscription
from llm_stream.web.frames import StreamGap

TURN_BYTES: Final = 16_384
"""Most bytes one stream sends before the next one gets its turn."""

MAX_REPLIES: Final = 256
"""Replies waiting for a client that does not read; then its commands wait too."""


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

    def frames(self) -> Iterator[bytes]:
        """One text frame an event, around the bytes the log holds; one for lost events."""
        if gap := self.subscription.gap():
            self._outbox.on_gap()
            lost = StreamGap(type="gap", stream=self.name, after=gap.after, first=gap.first)
            yield orjson.dumps(lost)
        for event in self.subscription.take(max_bytes=TURN_BYTES):
            # The client may have left the stream while the frame before was being written.
            if self.closed:
                return
            yield b"%b%b}" % (self._head, event.data)

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
        self._replies.append(orjson.dumps(message))
        _wake(self._something)

    async def wait_for_room(self) -> None:
        """Return when fewer than 256 replies wait: the back-pressure on commands."""
        while len(self._replies) >= MAX_REPLIES:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def ready(self, stream: Stream) -> None:
        """The stream has events to send and waits for its turn."""
        self._turns.append(stream)
        _wake(self._something)

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

    def next_frames(self) -> Iterator[bytes]:
        """What to send now: all replies, or else one stream's turn."""
        if self._replies:
            while self._replies:
                yield self._replies.pop(0)
            _wake(self._room)
            return
        if not self._turns:
            return
        stream = self._turns.pop(0)
        if stream.closed:
            return
        yield from stream.frames()
        if stream.closed:
            return
        if stream.subscription.behind:
            self._turns.append(stream)
        elif stream.subscription.ended:
            self._on_end(stream)
        else:
            stream.subscription.log.notify(stream.wake)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
