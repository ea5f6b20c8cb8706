"""A TCP proxy that misbehaves when told to: it cuts, stalls, slows down, refuses, and is mended.

It knows nothing of what it carries. Tests put it between the service and a provider, a Redis or a
client; what goes wrong holds for open connections and for new ones, until `mend`.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
    """One client's connection and the one to the target that belongs to it."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
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

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        """Connect to the target and carry bytes both ways until the connection ends or is cut."""
        self._writers.append(writer)
        lanes: list[asyncio.Task[None]] = []
        how: Ending = "rst"
        try:
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
            else:
                writer.close()
        closed = [writer.wait_closed() for writer in self._writers]
        try:
            await asyncio.gather(*lanes, *closed, return_exceptions=True)
        finally:
            for writer in self._writers:
                writer.transport.abort()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with an RST; what the kernel has taken over may still arrive."""
    if not writer.transport.is_closing():
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class FaultProxy:
    """Carries TCP connections from one port of this machine to another.

    Args:
        port: of the target.

    Attributes:
        port: where it listens; 0 before `start`.
        accepted: connections since the start.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.accepted = 0
        self._conditions = Conditions()
        self._links: dict[asyncio.Task[None], Link] = {}
        self._server: asyncio.Server | None = None

    @property
    def open(self) -> int:
        """Connections that are open now, stalled ones included."""
        return len(self._links)

    async def start(self) -> None:
        """Listen on any free port; later, after `refuse`, on the same one.

        Raises:
            OSError: somebody else has taken the port meanwhile.
        """
        self.mend()
        bound = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by what it accepts
        self.port = bound.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=bound, limit=PIECE_BYTES)

    def cut(
        self, after_bytes: int = 0, *, how: Ending = "fin", direction: Direction = "down"
    ) -> None:
        """End each connection once it has carried so many more bytes; 0 = at once, new ones too."""
        self._conditions.cut = Cut(after_bytes, how, direction)
        for link in self._links.values():
            link.expect(self._conditions.cut)

    def stall(self, *directions: Direction) -> None:
        """Carry nothing, not even an end; without a direction, neither way."""
        for direction in directions or ("up", "down"):
            self._conditions.open[direction].clear()

    def throttle(self, bytes_per_second: int) -> None:
        """Carry so many bytes a second, at least 1, each way of each connection."""
        self._conditions.bytes_per_second = bytes_per_second

    async def refuse(self) -> None:
        """Listen no more: who connects is refused. Open connections stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)  # the loop lets go of the socket in its next turn

    async def accept(self) -> None:
        """Listen again, on the same port, with all mended; see `start` for errors."""
        if self._server is None:
            await self.start()

    def mend(self) -> None:
        """Nothing goes wrong any more; what was held back goes on, in order. See also `accept`."""
        self._conditions.cut = self._conditions.bytes_per_second = None
        for link in self._links.values():
            link.expect(None)
        for each in self._conditions.open.values():
            each.set()

    async def close(self) -> None:
        """Listen no more and reset all connections."""
        await self.refuse()
        tasks = list(self._links)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = Link(self._conditions)
        task = asyncio.create_task(link.carry(reader, writer, self.target))
        self._links[task] = link
        task.add_done_callback(self._links.pop)


@asynccontextmanager
async def fault_proxy(port: int) -> AsyncIterator[FaultProxy]:
    """Start a proxy to a port of this machine; on leaving its connections are reset."""
    proxy = FaultProxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
