"""HTTP over a bare socket: every byte that arrives, and how the connection ended."""

import asyncio
import itertools
import json
from dataclasses import dataclass
from typing import Any, Protocol

DRIP_SECONDS = 0.02

HELLO = [{"role": "user", "content": "hello"}]


class Listening(Protocol):
    """Whatever listens on a port of this machine."""

    @property
    def port(self) -> int:
        """The port."""


@dataclass(frozen=True)
class Arrived:
    """What a client got, as it came: `reads` are the pieces; `end` is "fin" or "rst"."""

    data: bytes
    end: str

    @property
    def head(self) -> dict[str, str]:
        """The headers."""
        lines = self.data.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {line.partition(": ")[0]: line.partition(": ")[2] for line in lines}

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.data.split(b" ", 2)[1])

    @property
    def raw_body(self) -> bytes:
        """The body, with HTTP's own chunked coding."""
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def body(self) -> bytes:
        """The body as far as it came, without the chunked coding."""
        if self.head.get("transfer-encoding") != "chunked":
            return self.raw_body
        body, rest = b"", self.raw_body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            body += rest[:length]
            rest = rest[length + 2 :]
        return body


async def connect(server: Listening) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection."""
    return await asyncio.open_connection("127.0.0.1", server.port)


def post(path: str, body: Any, headers: dict[str, str]) -> bytes:
    """A request; the connection is closed after its reply. Bytes are sent as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"host": "x", "connection": "close", "content-length": str(len(content))} | headers
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


def chat_request(model: str, **fields: Any) -> bytes:
    """A request for a streamed chat completion."""
    body = {"model": model, "messages": HELLO, "stream": True} | fields
    return post("/v1/chat/completions", body, {"authorization": "Bearer sk-abcdefgijkl"})


async def exchange(server: Listening, request: bytes, *trickled: bytes) -> Arrived:
    """Send that and read until the connection ends.

    Args:
        server: where.
        request: sent at once.
        trickled: sent behind it, a piece every `DRIP_SECONDS`; the last one for ever.
    """
    reader, writer = await connect(server)
    writer.write(request)
    reading = asyncio.create_task(_read_to_end(reader))
    try:
        for piece in itertools.chain(trickled[:-1], itertools.cycle(trickled[-1:])):
            # A client as slow as this is what is shown; it stops the moment the connection ends.
            if (await asyncio.wait((reading,), timeout=DRIP_SECONDS))[0]:
                break
            writer.write(piece)
        return await reading
    finally:
        reading.cancel()
        writer.close()


async def _read_to_end(reader: asyncio.StreamReader) -> Arrived:
    data = bytearray()
    try:
        while piece := await reader.read(65_536):
            data += piece
    except ConnectionResetError:
        return Arrived(bytes(data), "rst")
    return Arrived(bytes(data), "fin")
