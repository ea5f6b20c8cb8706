"""The mock providers' server: connections in, requests recorded, each answered as it asked."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Final

from llm_stream.testing.mockproviders.connection import ClientLeft, Connection, LeavingReader
from llm_stream.testing.mockproviders.delivery import deliver
from llm_stream.testing.mockproviders.dispatch import Dispatcher
from llm_stream.testing.mockproviders.faults import NO_FAULT
from llm_stream.testing.mockproviders.inspection import forgotten, records
from llm_stream.testing.mockproviders.record import Milestones, MockRequest
from llm_stream.testing.mockproviders.replies import Reply
from llm_stream.testing.mockproviders.script import MockScript

KEPT: Final = 100_000
"""Records that are kept; a server that runs for days forgets older ones."""


class MockProviders:
    """Fakes of the providers on one port of this machine.

    Args:
        scripts: model name -> what it says and what goes wrong; `*` = any model without its own.
        seed: of the answers that no script gives.

    Attributes:
        requests: every request, oldest first.
        connections: how many were accepted.
    """

    def __init__(self, scripts: Mapping[str, MockScript] | None = None, seed: int = 0) -> None:
        self.scripts = dict(scripts or {})
        self.requests: list[MockRequest] = []
        self.connections = 0
        self.port = 0
        self._dispatcher = Dispatcher(self.scripts, seed)
        self._milestones = Milestones()
        self._server: asyncio.Server | None = None
        self._refusing: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens; every wire is also there without a provider's name in front."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """`base_url` of an OpenAI client."""
        return f"{self.url}/openai/v1"

    @property
    def anthropic_url(self) -> str:
        """`base_url` of an Anthropic client."""
        return f"{self.url}/anthropic"

    @property
    def gemini_url(self) -> str:
        """What stands for `https://generativelanguage.googleapis.com`."""
        return f"{self.url}/gemini"

    @property
    def palm_url(self) -> str:
        """What stood for `https://generativelanguage.googleapis.com` with PaLM."""
        return f"{self.url}/palm"

    @property
    def refused_url(self) -> str:
        """Where every connection is refused: the port is taken, and nobody listens."""
        return f"http://127.0.0.1:{self._refusing.getsockname()[1] if self._refusing else 0}"

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback address, 0 = on any free port.

        Raises:
            OSError: the port is taken.
        """
        bound = socket.create_server(("127.0.0.1", port), backlog=1024)
        # asyncio sets it only on sockets that say TCP; without it a kept connection waits 40 ms.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = bound.getsockname()[1]
        if self._refusing is None:
            self._refusing = socket.socket()
            self._refusing.bind(("127.0.0.1", 0))
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, sock=bound)

    async def refuse(self) -> None:
        """Listen no more: whoever connects now is refused, open connections stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)  # the loop lets go of the socket in its next turn

    async def accept(self) -> None:
        """Listen again, on the same port."""
        if self._server is None:
            await self.start(self.port)

    async def close(self) -> None:
        """Listen no more and break all connections."""
        if self._refusing is not None:
            self._refusing.close()
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, holds: "Callable[[MockProviders], bool]") -> None:
        """Wait until that is true: `await mocks.until(lambda m: len(m.requests) == 2)`."""
        await self._milestones.until(lambda: holds(self))

    def forget(self) -> None:
        """Begin anew: no requests were seen, faults that hold a few times are due again."""
        self.requests.clear()
        self._dispatcher.forget()
        self.connections = 0

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = LeavingReader(self._milestones)

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            connection = Connection(reader, writer, self.connections, self._milestones)
            task = asyncio.create_task(self._converse(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return asyncio.StreamReaderProtocol(reader, connected)

    async def _converse(self, connection: Connection) -> None:
        try:
            while arrived := await connection.next_request():
                request, headers = arrived
                if request.path.startswith("/mock/"):
                    await deliver(
                        connection, request, self._told(request), NO_FAULT, keep_alive=False
                    )
                    break
                self.requests.append(request)
                del self.requests[:-KEPT]
                self._milestones.happened()
                if not await self._serve(connection, request, headers):
                    break
        except ClientLeft:
            connection.close()
        except asyncio.CancelledError:
            connection.abort()
            raise
        else:
            connection.close()

    def _told(self, request: MockRequest) -> Reply:
        if request.method != "POST":
            return records(self.requests, self.connections)
        self.forget()
        return forgotten()

    async def _serve(
        self, connection: Connection, request: MockRequest, headers: Mapping[str, str]
    ) -> bool:
        loop = asyncio.get_running_loop()
        try:
            reply = self._dispatcher.reply(request, headers)
            request.status, request.reply = reply.status, b"".join(reply.chunks)
            keep = headers.get("connection", "").lower() != "close"
            return await deliver(connection, request, reply, request.fault, keep_alive=keep)
        except ClientLeft:
            request.closed_at = loop.time()
            request.left = connection.left or "rst"
            raise
        finally:
            request.ended_at = loop.time()
            self._milestones.happened()
