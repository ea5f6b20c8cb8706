"""Keeps one connection honest: heartbeats while silent, cut when the peer does not read."""

import asyncio
from collections.abc import Awaitable, Callable


class Pulse:
    """Watches one connection's writes from a task of its own.

    The connection's writer brackets each write with `begin` and `end`, two attribute
    stores; no timer is touched per token. A write that is still waiting, with not a byte
    leaving the transport's buffer for `stall_seconds`, aborts the connection.

    Args:
        transport: the connection's; its buffer tells whether the peer reads.
        beat: sends a heartbeat; called when nothing was written for `heartbeat_seconds`.
        on_stall: called once, right before a stalled connection is aborted.
    """

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        *,
        heartbeat_seconds: float,
        stall_seconds: float,
        beat: Callable[[], Awaitable[None]],
        on_stall: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._heartbeat = heartbeat_seconds
        self._stall = stall_seconds
        self._beat = beat
        self._on_stall = on_stall
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._writing = False
        self.stalled = False

    def begin(self) -> None:
        """A write starts."""
        self._writing = True

    def end(self) -> None:
        """The write is done."""
        self._writing = False
        self._last = self._loop.time()

    async def run(self) -> None:
        """Watch until cancelled, or until a stalled connection was aborted."""
        buffered, moved = 0, self._loop.time()
        while True:
            await asyncio.sleep(min(self._heartbeat, self._stall) / 4)
            now = self._loop.time()
            size = self._transport.get_write_buffer_size()
            if size != buffered or not self._writing:
                buffered, moved = size, now
            elif now - moved >= self._stall:
                self.stalled = True
                self._on_stall()
                self._transport.abort()
                return
            if not self._writing and now - self._last >= self._heartbeat:
                self._last = now
                await self._beat()
