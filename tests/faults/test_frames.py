"""Fault 13: frames that are no WebSocket's; the socket is closed with the code that says why."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ..conftest import StartService
from ..peers import UPGRADE, frame
from ..process import resident_bytes
from ..replica import replicas
from ..wire import WsClient

LIMIT = 2048
PING = json.dumps({"type": "ping", "id": "p"}).encode()


class RawSocket:
    """A WebSocket by hand: the client may send what it likes, and reads whole frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *frames: bytes) -> None:
        """Send these frames."""
        self.writer.write(b"".join(frames))

    async def next(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        first, second = await self.reader.readexactly(2)
        size = second
        if second == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        return first & 15, await self.reader.readexactly(size)

    async def reply(self) -> Any:
        """The next text frame, decoded."""
        while True:
            opcode, payload = await self.next()
            assert opcode != 8, payload
            if opcode == 1:
                return json.loads(payload)

    async def close_code(self) -> int:
        """The code of the close frame that ends the socket."""
        while True:
            opcode, payload = await self.next()
            if opcode == 8:
                return int(struct.unpack(">H", payload[:2])[0])


@asynccontextmanager
async def raw_socket(port: int) -> AsyncIterator[RawSocket]:
    """A socket that has been upgraded and has read its welcome."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(UPGRADE)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head
        raw = RawSocket(reader, writer)
        assert (await raw.reply())["type"] == "welcome"
        yield raw
    finally:
        writer.close()


def declared(size: int) -> bytes:
    """The head of a masked text frame that says to be so long."""
    return b"\x81\xff" + struct.pack(">Q", size) + bytes(4)


REFUSED = {
    "one over the limit": (frame(b"x" * (LIMIT + 1)), 1009),
    "declared 2^63-1": (declared((1 << 63) - 1), 1009),
    "fragments over the limit": (
        frame(b"x" * LIMIT, fin=False) + frame(b"x", opcode=0), 1009,
    ),
    "bad UTF-8": (frame(b"\xff\xfe"), 1007),
    "UTF-8 that breaks off": (frame(b"{\xe2\x82"), 1007),
    "RSV1 without an extension": (frame(b"{}", rsv=4), 1002),
    "RSV2": (frame(b"{}", rsv=2), 1002),
    "unknown opcode": (frame(b"{}", opcode=3), 1002),
    "continuation of nothing": (frame(b"{}", opcode=0), 1002),
    "text inside a text": (frame(b"{", fin=False) + frame(b"}"), 1002),
    "fragmented ping": (frame(b"", opcode=9, fin=False), 1002),
    "ping of 126 bytes": (frame(b"x" * 126, opcode=9), 1002),
    "close with one byte": (frame(b"x", opcode=8), 1002),
    "close with a reserved code": (frame(struct.pack(">H", 1005), opcode=8), 1002),
    "close with bad UTF-8": (frame(struct.pack(">H", 1000) + b"\xff", opcode=8), 1007),
}  # fmt: skip


@pytest.mark.parametrize("sent", REFUSED)
async def test_a_frame_that_is_none_closes_its_socket(
    start_service: StartService, http: aiohttp.ClientSession, sent: str
) -> None:
    """The code says what was wrong, and a socket beside it works on."""
    service = await start_service(limits={"message_bytes": LIMIT})
    other = await WsClient.connect(http, service.url)
    frames, code = REFUSED[sent]
    async with raw_socket(service.port) as raw:
        raw.send(frames)
        assert await raw.close_code() == code

    assert (await other.ask(type="ping", id="1"))["type"] == "pong"
    await other.ws.close()


async def test_a_message_of_exactly_the_limit_is_read(start_service: StartService) -> None:
    """The limit itself is allowed, in one frame and in pieces."""
    service = await start_service(limits={"message_bytes": LIMIT})
    whole = PING + b" " * (LIMIT - len(PING))
    async with raw_socket(service.port) as raw:
        raw.send(frame(whole))
        assert (await raw.reply())["id"] == "p"
        raw.send(frame(whole[:9], fin=False), frame(whole[9:], opcode=0))
        assert (await raw.reply())["id"] == "p"


async def test_binary_is_answered_with_an_error(start_service: StartService) -> None:
    """A binary frame is no crime: the reply says that it is not the protocol."""
    service = await start_service()
    async with raw_socket(service.port) as raw:
        raw.send(frame(b"\x00\xff", opcode=2))
        assert (await raw.reply())["error"]["code"] == "malformed_request"


@pytest.mark.slow
async def test_a_hundred_thousand_fragments_are_one_message(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A message in 100,000 pieces is read; others are served meanwhile; memory stays bounded."""
    with replicas(tmp_path, count=1) as (replica,):
        other = await WsClient.connect(http, replica.url)
        async with raw_socket(replica.port) as raw:
            before = resident_bytes(replica.process.pid)
            raw.send(frame(PING[:1], fin=False))
            for number in range(100):
                raw.send(*[frame(b" ", opcode=0, fin=False)] * 1000)
                await raw.writer.drain()
                assert (await other.ask(type="ping", id=str(number)))["type"] == "pong"
            raw.send(frame(PING[1:], opcode=0))

            assert (await raw.reply())["id"] == "p"
            assert resident_bytes(replica.process.pid) - before < 20 << 20
        await other.ws.close()
