"""A provider that says, byte by byte, what a test wants: HTTP/1.1 by hand on a real socket."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

UNREAD = object()
"""The body of a request that was refused before it was read."""


@dataclass(slots=True)
class Reply:
    """What the server answers.

    `end` is how the body ends: "chunked" properly, "eof" by closing a body without a length,
    "cut" by closing inside a chunked one, "reset" by RST, "hold" not at all: it waits for the
    client to leave. `silent` holds back even the head.
    """

    blocks: Sequence[bytes] = ()
    status: int = 200
    content_type: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    end: Literal["chunked", "eof", "cut", "reset", "hold"] = "chunked"
    silent: bool = False

    def head(self) -> bytes:
        """Status line and headers."""
        lines = [f"HTTP/1.1 {self.status} Status", f"Content-Type: {self.content_type}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append("Connection: close" if self.end == "eof" else "Transfer-Encoding: chunked")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def framed(self, block: bytes) -> bytes:
        """A block as it goes over the wire."""
        return block if self.end == "eof" else b"%x\r\n%s\r\n" % (len(block), block)


def json_reply(value: Any, status: int = 200, **more: Any) -> Reply:
    """An answer in one piece."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Reply([body], status=status, **{"content_type": "application/json", **more})


@dataclass(slots=True)
class Request:
    """What the server was asked."""

    target: str
    headers: dict[str, str]
    body: Any
    lines: int
    """How many lines of headers there were."""


class FakeProvider:
    """Answers requests in order, the last reply again and again.

    Attributes:
        requests: all that came.
        connections: how many were opened.
        gone: set when a client left a reply that was held.
        begun: set when the blocks of a reply were sent.
        refuses_at: a larger body is answered before it is read, and then left alone.
        left: set when a client left a connection on which nothing was under way.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.replies: list[Reply] = [Reply()]
        self.requests: list[Request] = []
        self.connections = 0
        self.gone = asyncio.Event()
        self.begun = asyncio.Event()
        self.left = asyncio.Event()
        self.refuses_at = 1 << 30

    def answer(self, *replies: Reply) -> None:
        """Set what comes next."""
        self.replies = list(replies)

    @property
    def last(self) -> Request:
        """The newest request."""
        return self.requests[-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while request := await _read(reader, self.refuses_at):
                self.requests.append(request)
                if request.body is UNREAD:
                    writer.transport.pause_reading()  # type: ignore[attr-defined]
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if not await self._reply(reply, reader, writer):
                    break
                if request.body is UNREAD:
                    writer.transport.resume_reading()  # type: ignore[attr-defined]
                    await reader.read()
            else:
                self.left.set()
        except ConnectionError:
            self.gone.set()
        finally:
            writer.close()

    async def _reply(
        self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection can be used again."""
        if not reply.silent:
            writer.write(reply.head())
            for block in reply.blocks:
                writer.write(reply.framed(block))
                await writer.drain()
        self.begun.set()
        if reply.end == "reset":
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        if reply.end == "hold" or reply.silent:
            assert await reader.read(1) == b""
            self.gone.set()
            return False
        if reply.end != "chunked":
            return False
        writer.write(b"0\r\n\r\n")
        return True


async def _read(reader: asyncio.StreamReader, refuses_at: int) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    length = int(headers.get("content-length", 0))
    if length >= refuses_at:
        return Request(first.split(" ")[1], headers, UNREAD, len(lines))
    body = await reader.readexactly(length)
    return Request(first.split(" ")[1], headers, json.loads(body or b"null"), len(lines))


@asynccontextmanager
async def fake_provider(tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeProvider]:
    """A server on a free port; `tls`: what it proves itself with."""
    bound = socket.create_server(("127.0.0.1", 0))
    provider = FakeProvider(bound.getsockname()[1])
    server = await asyncio.start_server(provider.serve, sock=bound, limit=1 << 24, ssl=tls)
    try:
        yield provider
    finally:
        server.close()
