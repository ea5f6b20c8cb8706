"""An answer that has begun: its body, block by block or whole."""

import zlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from llm_stream.errors import UpstreamFailed
from llm_stream.models.wires.connection import Connection

MAX_BODY_BYTES: Final = 33_554_432
"""The largest answer that is read in one piece."""

Read = Callable[[], Coroutine[Any, Any, bytes]]


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
        coding = connection.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", ""):
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
        self._model_id = model_id
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise UpstreamFailed(f"{model_id}: the provider compresses as nobody asked it to")
        # 32 more than the window: zlib's frame or gzip's, whichever there is.
        self._inflate = zlib.decompressobj(32 + zlib.MAX_WBITS)

    async def read(self) -> bytes:
        """See `Upstream.read`."""
        while block := await self._connection.read():
            try:
                plain = self._inflate.decompress(block, MAX_BODY_BYTES)
            except zlib.error as error:
                raise UpstreamFailed(f"{self._model_id}: the answer cannot be unpacked") from error
            if self._inflate.unconsumed_tail:
                raise UpstreamFailed(f"{self._model_id}: the answer is too large")
            if plain:
                return plain
        if not self._inflate.eof:
            raise UpstreamFailed(f"{self._model_id}: the connection broke: it was cut")
        return b""
