"""An answer as the side table keeps it: what the cache keeps, compressed."""

import zlib
from typing import Final

from llm_stream.cache.stored import Stored
from llm_stream.engine.recording import InvalidRecording

COMPRESSION: Final = 1
"""zlib's level: an answer of short chunks shrinks to a fifth; higher levels gain little more."""

MAX_ENTRY_BYTES: Final = 1 << 28
"""An entry that claims to be larger is not read."""


WINDOW_BITS: Final = 12
MEMORY_LEVEL: Final = 5
"""How far zlib looks back, 4 KiB, and what it sets up for that: a quarter of a megabyte by default,
which takes longer than a short answer. Of a long one there is no more left."""


def pack(entry: Stored) -> bytes:
    """An entry as it is kept."""
    packer = zlib.compressobj(COMPRESSION, wbits=WINDOW_BITS, memLevel=MEMORY_LEVEL)
    return packer.compress(entry.encode()) + packer.flush()


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
