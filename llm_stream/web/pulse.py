"""Keeps one connection honest: heartbeats while silent, cut when the peer does not read."""

import asyncio
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Final

TCP_INFO: Final = struct.Struct("=2xB21xI28xI")
"""Of Linux' `struct tcp_info`: retransmits, packets not acknowledged, ms since the last ACK."""


def deaf_seconds(transport: asyncio.BaseTransport) -> float:
    """How long the peer's system has acknowledged nothing of what is sent to it again and again.

    0 while nothing is owed, or where the system (Linux) does not tell. A peer that only does not
    read is not deaf: its system answers.
    """
    sock = transport.get_extra_info("socket")
    if sys.platform != "linux" or sock is None or transport.is_closing():
        return 0.0
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
    retransmits, owed, silent_ms = TCP_INFO.unpack(info)
    # A single one may be a lost packet just after a long silence in which nothing was sent.
    return float(silent_ms / 1000) if owed and retransmits > 1 else 0.0


class Pulse:
    """Watches one connection's writes from a task of its own.

    The connection's writer brackets each write with `begin` and `end`, two attribute
    stores; no timer is touched per token. A write that is still waiting, with not a byte
    leaving the transport's buffer for `stall_seconds`, aborts the connection; so does a peer
    that is deaf for as long, which heartbeats bring to light.

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
        look_seconds = min(self._heartbeat, self._stall) / 4
        while True:
            await asyncio.sleep(look_seconds)
            if deaf_seconds(self._transport) + look_seconds > self._stall:
                self.stalled = True
                self._transport.abort()
                return
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
