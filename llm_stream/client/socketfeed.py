"""One stream of a socket, as its reader has it: what has arrived waits here, within a bound."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from llm_stream.client.wire import Beat, Frame, Opened
from llm_stream.errors import StreamError

HELD_FRAMES: Final = 4096
"""Frames of a stream that wait for its reader. With more it is left, and resumed when they are
read: a reader that is slow holds up no other stream of its socket."""


class SocketFeed:
    """A stream of a socket; see `Feed`. It is opened by the reply to its command."""

    def __init__(self, name: str, leave: Callable[[str], object]) -> None:
        self.name = name
        self.opened = Opened("", "", "")
        self._leave = leave
        self._held: asyncio.Queue[Frame | StreamError | None] = asyncio.Queue()
        self._ended = False

    def put(self, frame: Frame) -> None:
        """Keep a frame for the reader."""
        if self._ended:
            return
        self._held.put_nowait(frame)
        if self._held.qsize() >= HELD_FRAMES:
            self._leave(self.name)
            self.end(None)

    def beat(self) -> None:
        """The service lives; a reader that has something to read knows."""
        if not self._ended and self._held.empty():
            self._held.put_nowait(Beat())

    def end(self, error: StreamError | None) -> None:
        """Nothing follows; with an error if the socket was lost."""
        if not self._ended:
            self._ended = True
            self._held.put_nowait(error)

    async def frames(self) -> AsyncIterator[Frame]:
        """See `Feed.frames`."""
        while True:
            frame = await self._held.get()
            if frame is None:
                return
            if isinstance(frame, StreamError):
                raise frame
            yield frame

    async def close(self) -> None:
        """See `Feed.close`."""
        if not self._ended:
            self._leave(self.name)
            self.end(None)
