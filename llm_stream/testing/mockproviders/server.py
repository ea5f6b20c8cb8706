"""The mock providers' server: connections in, requests recorded, each answered as it asked."""

import asyncio
import re
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import orjson

from llm_stream.testing.mockproviders.answers import Asked, MockAnswer, seeded_answer
from llm_stream.testing.mockproviders.anthropic import AnthropicMessages
from llm_stream.testing.mockproviders.connection import ClientLeft, Connection, LeavingReader
from llm_stream.testing.mockproviders.delivery import deliver
from llm_stream.testing.mockproviders.faults import NO_FAULT, MockFault, fault_in_line
from llm_stream.testing.mockproviders.gemini import Gemini
from llm_stream.testing.mockproviders.modelnames import (
    NamedBehaviour,
    UnknownWord,
    behaviour_of,
)
from llm_stream.testing.mockproviders.openaichat import OpenAIChat
from llm_stream.testing.mockproviders.openairesponses import OpenAIResponses
from llm_stream.testing.mockproviders.palm import Palm
from llm_stream.testing.mockproviders.record import Milestones, MockRequest
from llm_stream.testing.mockproviders.replies import Reply, distorted, plain
from llm_stream.testing.mockproviders.script import MockScript
from llm_stream.testing.mockproviders.wire import Call, Refusal, Wire

WIRES: Final[tuple[Wire, ...]] = (
    OpenAIChat(),
    OpenAIResponses(),
    AnthropicMessages(),
    Gemini(),
    Palm(),
)
PREFIX: Final = re.compile(r"/(openai|anthropic|gemini|palm)(?=/)")
ANY_MODEL: Final = "*"


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
        self.seed = seed
        self.requests: list[MockRequest] = []
        self.connections = 0
        self.port = 0
        self._asked: Counter[tuple[str, str]] = Counter()
        self._milestones = Milestones()
        self._server: asyncio.Server | None = None
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

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback address, 0 = on any free port.

        Raises:
            OSError: the port is taken.
        """
        bound = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port = bound.getsockname()[1]
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
        self._asked.clear()
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
                self.requests.append(request)
                self._milestones.happened()
                if not await self._serve(connection, request, headers):
                    break
        except ClientLeft:
            pass
        finally:
            connection.close()

    async def _serve(
        self, connection: Connection, request: MockRequest, headers: Mapping[str, str]
    ) -> bool:
        loop = asyncio.get_running_loop()
        try:
            reply = self._reply(request, headers)
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

    def _reply(self, request: MockRequest, headers: Mapping[str, str]) -> Reply:
        address = urlsplit(headers[":path"])
        prefix = PREFIX.match(address.path)
        path = address.path[prefix.end() :] if prefix else address.path
        query = dict(parse_qsl(address.query))
        call = Call(request.method, path, query, headers, None)
        for wire in WIRES:
            if (prefix is None or wire.name.startswith(prefix[1])) and wire.takes(call):
                request.provider = wire.name
                return self._answer(wire, call, request)
        return plain({"error": {"message": f"No mocked wire has {request.path}"}}, 404)

    def _answer(self, wire: Wire, call: Call, request: MockRequest) -> Reply:
        try:
            wire.admit(call)
            if call.method == "GET":
                return self._sound(wire.models(["mock", *sorted({*self.scripts} - {ANY_MODEL})]))
            request.body = parsed(request.content)
            call = replace(call, body=request.body)
            asked = read(wire, call)
            request.model = asked.model
            fault, answer = self._behaviour(wire, asked)
        except Refusal as refusal:
            return self._sound(wire.error(refusal, call))
        request.fault = fault
        if fault.status:
            message = f"The mock was asked for status {fault.status}."
            reply = wire.error(Refusal(fault.status, message), call)
        else:
            reply = wire.reply(asked, answer, fault)
        return distorted(
            reply, fault, wire.error_chunk(asked, fault.error_status, first=fault.error_at == 0)
        )

    @staticmethod
    def _sound(reply: Reply) -> Reply:
        return distorted(reply, NO_FAULT, b"")

    def _behaviour(self, wire: Wire, asked: Asked) -> tuple[MockFault, MockAnswer]:
        number = self._asked[wire.name, asked.model]
        self._asked[wire.name, asked.model] += 1
        script = self.scripts.get(asked.model) or self.scripts.get(ANY_MODEL) or MockScript()
        try:
            named = behaviour_of(asked.model)
        except UnknownWord as error:
            if not script.faults:
                raise Refusal(404, f"The model does not exist: {error}.") from error
            named = NamedBehaviour()
        fault = fault_in_line(script.faults or named.faults, number)
        if script.answers:
            return fault, script.answers[min(number, len(script.answers) - 1)]
        return fault, seeded_answer(asked, named.shape, self.seed)


def read(wire: Wire, call: Call) -> Asked:
    """What is asked for; see `Wire.read`.

    Raises:
        Refusal: the provider would not take such a body.
    """
    try:
        asked = wire.read(call)
    except (AttributeError, TypeError, KeyError, IndexError) as error:
        raise Refusal(400, "The body of the request does not have the right shape.") from error
    if not isinstance(asked.model, str):
        raise Refusal(400, "The model is not a string.")
    return asked


def parsed(content: bytes) -> object:
    """A body that is JSON.

    Raises:
        Refusal: it is none.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "The body of the request could not be read as JSON.") from error
