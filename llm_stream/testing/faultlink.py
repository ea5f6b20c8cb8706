"""One connection through the fault proxy: what is carried, and how it ends."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import Final, Literal

Direction = Literal["up", "down"]
"""`up` is from the client to the target, `down` is the way back."""

Ending = Literal["fin", "rst"]
"""How a connection ends: as if all had been said, or broken."""

PIECE_BYTES: Final = 16_384
"""Most bytes carried at once; also what one direction may hold while it is stalled, four times."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where and how connections end."""

    after_bytes: int
    how: Ending
    direction: Direction


@dataclass(slots=True)
class Conditions:
    """What goes wrong now, for all connections."""

    cut: Cut | None = None
    bytes_per_second: int | None = None
    open: dict[Direction, asyncio.Event] = field(
        default_factory=lambda: {"up": asyncio.Event(), "down": asyncio.Event()}
    )

    def piece_bytes(self) -> int:
        """How many bytes to carry next."""
        rate = self.bytes_per_second
        return PIECE_BYTES if rate is None else max(1, rate // 20)


class Link:
    """One client's connection and the one to the target that belongs to it.

    Args:
        conditions: what goes wrong.
        client: the accepted connection; it is closed whatever becomes of `carry`, by `close`.
    """

    def __init__(self, conditions: Conditions, client: socket.socket) -> None:
        self._conditions = conditions
        self._client = client
        linger(client, on=True)  # a reset is what every end is but an orderly one
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._left = 0
        self._writers: list[asyncio.StreamWriter] = []
        self.expect(conditions.cut)

    def expect(self, cut: Cut | None) -> None:
        """Count from now to where the connection is to be cut; None = nowhere."""
        self._left = cut.after_bytes if cut else 0
        if cut and not cut.after_bytes:
            self._end(cut.how)

    def _end(self, how: Ending) -> None:
        if not self._ending.done():
            self._ending.set_result(how)

    def _said(self, lanes: list[asyncio.Task[None]]) -> None:
        if all(lane.done() for lane in lanes):
            self._end("fin")

    async def carry(self, port: int) -> None:
        """Connect to the target and carry bytes both ways until the connection ends or is cut."""
        lanes: list[asyncio.Task[None]] = []
        how: Ending = "rst"
        try:
            reader, writer = await asyncio.open_connection(sock=self._client, limit=PIECE_BYTES)
            self._writers.append(writer)
            back, onward = await asyncio.open_connection("127.0.0.1", port, limit=PIECE_BYTES)
            self._writers.append(onward)
            for each in self._writers:
                each.transport.set_write_buffer_limits(high=0)  # `drain` waits for the kernel
            lanes.append(asyncio.create_task(self._lane("up", reader, onward)))
            lanes.append(asyncio.create_task(self._lane("down", back, writer)))
            for lane in lanes:
                lane.add_done_callback(lambda _: self._said(lanes))
            how = await self._ending
        except OSError:
            pass  # the target is not there: the client is told by a reset
        finally:
            for lane in lanes:
                lane.cancel()
            await self._close(how, lanes)

    async def _lane(
        self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(PIECE_BYTES):
                while data:
                    data = await self._forward(direction, data, writer)
            await self._conditions.open[direction].wait()
            writer.write_eof()
        except OSError:
            self._end("rst")

    async def _forward(
        self, direction: Direction, data: bytes, writer: asyncio.StreamWriter
    ) -> bytes:
        """Carry a piece; what is left of the data."""
        conditions = self._conditions
        await conditions.open[direction].wait()
        size = min(len(data), conditions.piece_bytes())
        cut = conditions.cut if conditions.cut and conditions.cut.direction == direction else None
        if cut:
            size = min(size, self._left)
        writer.write(data[:size])
        await writer.drain()
        self._left -= size if cut else 0
        if cut and not self._left:
            self._end(cut.how)
            await asyncio.get_running_loop().create_future()  # until cancelled
        if conditions.bytes_per_second is not None:
            await asyncio.sleep(size / conditions.bytes_per_second)
        return data[size:]

    async def _close(self, how: Ending, lanes: list[asyncio.Task[None]]) -> None:
        for writer in self._writers:
            if how == "rst":
                reset(writer)
            elif not writer.transport.is_closing():
                linger(writer.get_extra_info("socket"), on=False)
                writer.close()
        closed = [writer.wait_closed() for writer in self._writers]
        try:
            await asyncio.gather(*lanes, *closed, return_exceptions=True)
        finally:
            for writer in self._writers:
                writer.transport.abort()

    def close(self) -> None:
        """Let go of the client; what was cancelled before its first step has not."""
        self._client.close()


def linger(sock: socket.socket, *, on: bool) -> None:
    """Whether closing it breaks the connection, with an RST, or ends it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with an RST; what the kernel has taken over may still arrive."""
    if not writer.transport.is_closing():
        linger(writer.get_extra_info("socket"), on=True)
    writer.transport.abort()
