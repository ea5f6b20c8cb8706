"""A TCP proxy that misbehaves when told to: it cuts, stalls, slows down, refuses, and is mended.

It knows nothing of what it carries. Tests put it between the service and a provider, a Redis or a
client; what goes wrong holds for open connections and for new ones, until `mend`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .faultlink import Conditions, Cut, Direction, Ending, Link


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
        self._bound: socket.socket | None = None

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
        bound.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self.port = bound.getsockname()[1]
        self._bound = bound
        asyncio.get_running_loop().add_reader(bound, self._accept, bound)

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
        if self._bound is not None:
            asyncio.get_running_loop().remove_reader(self._bound)
            self._bound.close()
            self._bound = None

    async def accept(self) -> None:
        """Listen again, on the same port, with all mended; see `start` for errors."""
        if self._bound is None:
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

    def _accept(self, bound: socket.socket) -> None:
        # Not a server of the loop's: it takes several turns between accepting a connection and
        # telling of it, and whoever closed the proxy in one of them would never have heard of it.
        try:
            client, _ = bound.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # it has left while it waited
        except OSError:
            asyncio.get_running_loop().remove_reader(bound)  # or the loop would spin
            raise
        client.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self.accepted += 1
        link = Link(self._conditions, client)
        task = asyncio.create_task(link.carry(self.target))
        self._links[task] = link
        task.add_done_callback(lambda task: self._links.pop(task).close())


@asynccontextmanager
async def fault_proxy(port: int) -> AsyncIterator[FaultProxy]:
    """Start a proxy to a port of this machine; on leaving its connections are reset."""
    proxy = FaultProxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
