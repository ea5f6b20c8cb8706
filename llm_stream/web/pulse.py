"""Keeps one connection honest: heartbeats while silent, cut when the peer does not read."""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

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


def _silence() -> None:
    """Nobody is watched any more."""


class Pulse:
    """Watches one connection's writes, by a timer of its own.

    The connection's writer brackets each write with `begin` and `end`, two attribute
    stores; no timer is touched per token. A write that is still waiting, with not a byte
    taken by the peer's system for `stall_seconds`, aborts the connection; so does a peer
    that is deaf for as long, which heartbeats bring to light.

    Args:
        transport: the connection's; its buffer tells whether the peer reads.
        beat: sends a heartbeat, and waits for nothing; called when nothing was written for
            `heartbeat_seconds`.
        on_stall: called once, right before a stalled connection is aborted.

    Attributes:
        stalled: whether it has aborted the connection.
    """

    __slots__ = ("_beat", "_buffered", "_every", "_heartbeat", "_last", "_loop", "_moved",
                 "_on_stall", "_stall", "_taken", "_timer", "_transport", "_writing",
                 "stalled")  # fmt: skip

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        *,
        heartbeat_seconds: float,
        stall_seconds: float,
        beat: Callable[[], None],
        on_stall: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._heartbeat = heartbeat_seconds
        self._stall = stall_seconds
        self._every = min(heartbeat_seconds, stall_seconds) / 4
        self._beat = beat
        self._on_stall = on_stall
        self._loop = asyncio.get_running_loop()
        self._last = self._moved = self._loop.time()
        self._buffered = self._taken = 0
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self.stalled = False

    def begin(self) -> None:
        """A write starts."""
        self._writing = True

    def end(self) -> None:
        """The write is done."""
        self._writing = False
        self._last = self._loop.time()

    def start(self) -> None:
        """Watch until `stop`, or until a stalled connection was aborted."""
        # What there is now is what the first look compares with: a loop that is late itself, and
        # looks for the first time when the peer's time is over, takes no reader for a stalled one.
        self._buffered = self._transport.get_write_buffer_size()
        self._moved = self._loop.time()
        self._timer = self._loop.call_later(self._every, self._look)

    def stop(self) -> None:
        """Watch no more. Safe to call again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # It knows the connection's writer, which knows this.
        self._beat = _silence

    def _look(self) -> None:
        self._timer = None
        peer = look(self._transport)
        now = self._loop.time()
        size = self._transport.get_write_buffer_size()
        # What grows is no progress: others write to the connection as well, pings say. And the
        # kernel makes room in steps that a slow reader needs half a minute for.
        progress = size < self._buffered or peer.taken_bytes != self._taken
        self._buffered, self._taken = size, peer.taken_bytes
        stuck = False
        if progress or not self._writing:
            self._moved = now
        else:
            stuck = now - self._moved >= self._stall
        if stuck or peer.deaf_seconds + self._every > self._stall:
            self.stalled = True
            self._on_stall()
            self._transport.abort()
            return
        self._timer = self._loop.call_later(self._every, self._look)
        if not self._writing and now - self._last >= self._heartbeat:
            self._last = now
            self._beat()
