"""An answer that has begun: its body, block by block or whole."""

import zlib
from collections.abc import Awaitable, Callable
from typing import Final

from llm_stream.errors import UpstreamFailed
from llm_stream.models.wires.connection import Connection

MAX_BODY_BYTES: Final = 33_554_432
"""The largest answer that is read in one piece."""

DEFLATED: Final = frozenset({"gzip", "x-gzip", "deflate"})
CODINGS: Final = DEFLATED | {"br", "compress", "x-compress", "dcb", "dcz", "zstd"}
"""What `Content-Encoding` calls a compression. Servers also say `none` or `utf-8`, and mean it."""

Read = Callable[[], Awaitable[bytes]]


class Upstream:
    """An answer that has begun, with status 200 and the expected content type.

    Attributes:
        read: the next block of bytes, as it came; empty at the clean end of the body. Raises
            UpstreamFailed when the connection breaks (the upstream's doing).
        whole: set it when nothing more is wanted: the connection is kept if it ends soon.
    """

    def __init__(self, connection: Connection, model_id: str) -> None:
        self._model_id = model_id
        self.read: Read = connection.read
        self.whole = False
        said = connection.headers.get("content-encoding", "").lower().split(",")
        if codings := [coding for each in said if (coding := each.strip()) in CODINGS]:
            coding = codings[0] if len(codings) == 1 else "several"
            self.read = _Inflated(connection, coding, model_id).read

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            UpstreamFailed: the connection broke, or the body is over its bound.
        """
        blocks: list[bytes] = []
        size = 0
        while block := await self.read():
            blocks.append(block)
            size += len(block)
            if size > MAX_BODY_BYTES:
                raise UpstreamFailed(f"{self._model_id}: the answer is too large")
        return b"".join(blocks)


class _Inflated:
    """A body of a provider that compresses although it was asked not to."""

    def __init__(self, connection: Connection, coding: str, model_id: str) -> None:
        self._connection = connection
        self._coding = coding
        self._model_id = model_id
        self._unpacker: zlib._Decompress | None = None

    async def read(self) -> bytes:
        """See `Upstream.read`.

        Raises:
            UpstreamFailed: also where it cannot be unpacked, or becomes too large.
        """
        if self._coding not in DEFLATED:
            raise UpstreamFailed(f"{self._model_id}: the provider compresses as nobody asked it to")
        while block := await self._connection.read():
            if plain := self._unpacked(block):
                return plain
        if self._unpacker is None or not self._unpacker.eof:
            raise UpstreamFailed(f"{self._model_id}: the connection broke: it was cut")
        return b""

    def _unpacked(self, block: bytes) -> bytes:
        plain = b""
        try:
            while block:
                if self._unpacker is not None and self._unpacker.eof and not self._more(block):
                    return plain  # some servers fill up with zeros or a line's end
                if self._unpacker is None or self._unpacker.eof:
                    self._unpacker = zlib.decompressobj(self._window(block))
                plain += self._unpacker.decompress(block, MAX_BODY_BYTES)
                block = self._unpacker.unused_data
                if self._unpacker.unconsumed_tail or len(plain) > MAX_BODY_BYTES:
                    raise UpstreamFailed(f"{self._model_id}: the answer is too large")
        except zlib.error as error:
            raise UpstreamFailed(f"{self._model_id}: the answer cannot be unpacked") from error
        return plain

    def _more(self, block: bytes) -> bool:
        """Whether another member begins so (RFC 1952, 2.2)."""
        return self._coding != "deflate" and block.startswith(b"\x1f")

    def _window(self, block: bytes) -> int:
        """What zlib has to know: 32 more than the window if its own frame or gzip's is there.

        Many servers send `deflate` without a frame (RFC 9110, 8.4.1.2).
        """
        bare = self._coding == "deflate" and block[0] & 0x0F != zlib.DEFLATED
        return -zlib.MAX_WBITS if bare else 32 + zlib.MAX_WBITS
