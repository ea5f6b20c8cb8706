"""One accepted connection: HTTP/1.1 read and written by hand, so that it can break anywhere."""

import asyncio
import re
import socket
import struct
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import unquote

from llm_stream.testing.mockproviders.record import Milestones, MockRequest

HEAD_LIMIT: Final = 64 * 1024
BODY_LIMIT: Final = 64 * 1024 * 1024
SECRET_HEADERS: Final = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key"})
VISIBLE: Final = 4
"""Last characters of a key that a record shows."""


class ClientLeft(Exception):
    """The client is gone, or what it sends is no request."""


class LeavingReader(asyncio.StreamReader):
    """A reader that tells when the client leaves, even while nobody reads."""

    def __init__(self, milestones: Milestones) -> None:
        super().__init__(HEAD_LIMIT)
        self.milestones = milestones
        self.left: Literal["", "fin", "rst"] = ""

    def feed_eof(self) -> None:
        """The client has closed."""
        self._leave("fin")
        super().feed_eof()

    def set_exception(self, exc: Exception) -> None:
        """The connection broke."""
        self._leave("rst")
        super().set_exception(exc)

    def _leave(self, how: Literal["fin", "rst"]) -> None:
        self.left = self.left or how
        self.milestones.happened()


class Connection:
    """One client's connection.

    Args:
        reader: what it sends.
        writer: what it gets.
        number: of the connection, from 1.
        milestones: told of what happens here.
    """

    def __init__(
        self,
        reader: LeavingReader,
        writer: asyncio.StreamWriter,
        number: int,
        milestones: Milestones,
    ) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer
        self._milestones = milestones
        writer.transport.set_write_buffer_limits(high=0)  # `drain` returns when all was handed over

    @property
    def left(self) -> Literal["", "fin", "rst"]:
        """How the client has left, "" while it is there."""
        return self._reader.left

    async def next_request(self) -> tuple[MockRequest, Mapping[str, str]] | None:
        """The next request, its headers as sent beside it; None when the client is done.

        Raises:
            ClientLeft: in the middle of a request, or it is none.
        """
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise ClientLeft from error
            return None
        except (asyncio.LimitOverrunError, OSError) as error:
            raise ClientLeft from error
        first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, _, rest = first.partition(" ")
        path, _, version = rest.rpartition(" ")
        if not path.startswith("/") or not version.startswith("HTTP/1."):
            raise ClientLeft
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        content = await self._body(headers)
        shown = {name: masked(name, value) for name, value in headers.items()}
        now = asyncio.get_running_loop().time()
        path = unquote(path)
        request = MockRequest(
            method, masked_path(path), shown, content, self.number, now, self._milestones
        )
        return request, headers | {":path": path}

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("expect", "").lower() == "100-continue":
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            if headers.get("transfer-encoding", "").lower() == "chunked":
                return await self._chunked()
            length = int(headers.get("content-length", "0"))
            if length > BODY_LIMIT:
                raise ClientLeft
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError, ValueError) as error:
            raise ClientLeft from error

    async def _chunked(self) -> bytes:
        body = bytearray()
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            if len(body) + size > BODY_LIMIT:
                raise ClientLeft
            body += (await self._reader.readexactly(size + 2))[:-2]
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailers
        return bytes(body)

    async def write(self, data: bytes) -> None:
        """Hand bytes over to the kernel.

        Raises:
            ClientLeft: it is gone.
        """
        if self.left:
            raise ClientLeft
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as error:
            raise ClientLeft from error

    async def pause(self, seconds: float) -> None:
        """Wait, unless the client leaves.

        Raises:
            ClientLeft: it did.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._milestones.until(lambda: bool(self.left))
        except TimeoutError:
            return
        raise ClientLeft

    async def held(self, request: MockRequest) -> None:
        """Wait until a test resumes the request.

        Raises:
            ClientLeft: it left first.
        """
        await self._milestones.until(lambda: bool(self.left) or request.resumed)
        if self.left:
            raise ClientLeft

    def close(self) -> None:
        """End the connection after what was written (FIN)."""
        self._writer.close()

    def abort(self) -> None:
        """End the connection, whatever is still to be written."""
        self._writer.transport.abort()

    def reset(self) -> None:
        """End the connection with an RST; what the kernel has taken over may still arrive."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def masked(name: str, value: str) -> str:
    """A header's value as a record shows it."""
    if name not in SECRET_HEADERS:
        return value
    scheme, space, key = value.rpartition(" ")
    return f"{scheme}{space}***{key[-VISIBLE:] if len(key) > 2 * VISIBLE else ''}"


def masked_path(path: str) -> str:
    """A path as a record shows it."""
    return re.sub(r"([?&](?:key|api_key)=)[^&]*", r"\1***", path)
