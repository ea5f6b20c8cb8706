"""An answer as the side table keeps it: what the cache keeps, compressed."""

import zlib
from typing import Final

from llm_stream.cache.stored import Stored
from llm_stream.engine.recording import InvalidRecording

COMPRESSION: Final = 1
"""zlib's level: an answer of short chunks shrinks to a fifth; higher levels gain little more."""

MAX_ENTRY_BYTES: Final = 1 << 28
"""An entry that claims to be larger is not read."""


SHORT_BYTES: Final = 8192
"""Of less, zlib need not look back far: what it sets up to do so takes longer than a short answer,
a quarter of a megabyte by default."""


def pack(entry: Stored) -> bytes:
    """An entry as it is kept."""
    plain = entry.encode()
    if len(plain) >= SHORT_BYTES:
        return zlib.compress(plain, COMPRESSION)
    packer = zlib.compressobj(COMPRESSION, wbits=13, memLevel=5)
    return packer.compress(plain) + packer.flush()


def unpack(data: bytes) -> Stored:
    """The entry in these bytes.

    Raises:
        InvalidRecording: they are anything else.
    """
    reader = zlib.decompressobj()
    try:
        plain = reader.decompress(data, MAX_ENTRY_BYTES)
    except zlib.error as error:
        raise InvalidRecording(f"not an entry: {error}") from error
    if not reader.eof:
        raise InvalidRecording("not an entry: cut off, or too large")
    return Stored.decode(plain)
