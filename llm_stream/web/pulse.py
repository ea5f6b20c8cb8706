"""Keeps one connection honest: heartbeats while silent, cut when the peer does not read."""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

TCP_INFO: Final = struct.Struct("=2xB21xI28xI60xQ")
"""Of Linux' `struct tcp_info`: retransmits, packets owed, ms since the last ACK, bytes acked."""


class Peer(NamedTuple):
    """What the kernel knows of the other end; all 0 where the system (Linux) does not tell.

    Attributes:
        deaf_seconds: how long its system has acknowledged nothing of what is sent to it again
            and again; 0 while nothing is owed. Who only does not read is not deaf.
        taken_bytes: what it has acknowledged so far.
    """

    deaf_seconds: float = 0.0
    taken_bytes: int = 0


def look(transport: asyncio.BaseTransport) -> Peer:
    """Ask the kernel about a connection's peer."""
    sock = transport.get_extra_info("socket")
    if sys.platform != "linux" or sock is None or transport.is_closing():
        return Peer()
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
    retransmits, owed, silent_ms, taken = TCP_INFO.unpack(info)
    # A single one may be a lost packet just after a long silence in which nothing was sent.
    return Peer(silent_ms / 1000 if owed and retransmits > 1 else 0.0, taken)


async def _silence() -> None:
    """Nobody is watched any more."""


class Pulse:
    """Watches one connection's writes from a task of its own.

    The connection's writer brackets each write with `begin` and `end`, two attribute
    stores; no timer is touched per token. A write that is still waiting, with not a byte
    taken by the peer's system for `stall_seconds`, aborts the connection; so does a peer
    that is deaf for as long, which heartbeats bring to light.

    Args:
        transport: the connection's; its buffer tells whether the peer reads.
        beat: sends a heartbeat; called when nothing was written for `heartbeat_seconds`.
        on_stall: called once, right before a stalled connection is aborted.
    """

    __slots__ = ("_beat", "_beating", "_heartbeat", "_last", "_loop", "_on_stall", "_stall",
                 "_transport", "_writing", "stalled")  # fmt: skip

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        *,
        heartbeat_seconds: float,
        stall_seconds: float,
        beat: Callable[[], Coroutine[Any, Any, None]],
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
        self._beating: asyncio.Task[None] | None = None
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
        try:
            await self._watch()
        finally:
            # It knows the connection's writer, which knows this.
            self._beat = _silence
            if self._beating is not None:
                self._beating.cancel()
                await asyncio.gather(self._beating, return_exceptions=True)

    async def _watch(self) -> None:
        # What there is now is what the first look compares with: a loop that is late itself, and
        # looks for the first time when the peer's time is over, takes no reader for a stalled one.
        buffered, taken = self._transport.get_write_buffer_size(), 0
        moved = self._loop.time()
        look_seconds = min(self._heartbeat, self._stall) / 4
        while True:
            await asyncio.sleep(look_seconds)
            peer = look(self._transport)
            if peer.deaf_seconds + look_seconds > self._stall:
                self._on_stall()
                self._abort()
                return
            now = self._loop.time()
            size = self._transport.get_write_buffer_size()
            # What grows is no progress: others write to the connection as well, pings say. And the
            # kernel makes room in steps that a slow reader needs half a minute for.
            progress = size < buffered or peer.taken_bytes != taken
            buffered, taken = size, peer.taken_bytes
            if progress or not self._writing:
                moved = now
            elif now - moved >= self._stall:
                self._on_stall()
                self._abort()
                return
            if self._beating is not None and self._beating.done():
                if self._beating.exception() is not None:
                    return  # the connection is gone; its writer knows as well
                self._beating = None
            if not self._writing and now - self._last >= self._heartbeat:
                self._last = now
                # Beside the watch: it may be the write that fills the last room there was.
                self._beating = self._beating or asyncio.create_task(self._beat())

    def _abort(self) -> None:
        self.stalled = True
        self._transport.abort()
