"""The events of one log in memory: the newest ones as they are, older ones packed.

What was said a while ago is read again only by who comes late or has fallen behind, and it is most
of what a process with many streams holds. Events repeat each other but for a word; thirty-two of
them packed take a tenth. Nothing here is safe to call from another thread while somebody appends.
"""

import zlib
from typing import Final, cast

from llm_stream.events import Event

BLOCK: Final = 32
"""Events that are packed together, and unpacked where one of them is asked for."""

EVENT_OVERHEAD_BYTES: Final = 50
"""What an event costs beside its bytes until it is packed: its head, and its place in the list."""

MOST_BLOCKS: Final = 4
"""Packed in one go, 0.1 to 0.3 ms; of what comes faster, the rest stays as it is. For each block
zlib lets go of the interpreter's lock, and has to get it back from other threads."""

MAX_BLOCK_BYTES: Final = 8192
"""Of more bytes a block stays as it is: its events are too long to repeat each other within what
is looked back at, and both ways would keep the loop."""

_WBITS: Final = -10
"""A raw stream that looks back 1 KiB: as far as the ten events before, which say it all."""

_MEMORY: Final = 5
"""zlib's `memLevel`: what it sets up by default takes longer than the packing."""

_BETWEEN: Final = b"\n"
"""An event has no line break."""


class EventStore:
    """Events in order.

    Attributes:
        packed: how many events are in blocks; index of the first one that is not.
        recent: all behind them, to be appended to.
        spared: bytes that packing has spared.
    """

    __slots__ = ("_blocks", "packed", "recent", "spared")

    def __init__(self) -> None:
        self.recent: list[Event] = []
        self._blocks: list[bytes | list[Event]] = []
        self.packed = 0
        self.spared = 0

    def pack(self, most: int = MOST_BLOCKS) -> None:
        """Pack whole blocks before the newest event, so many at most."""
        whole = min(max(0, len(self.recent) - 1) // BLOCK, most) * BLOCK
        for start in range(0, whole, BLOCK):
            events = self.recent[start : start + BLOCK]
            block = _packed(events)
            self._blocks.append(block)
            if isinstance(block, bytes):
                self.spared += sum(map(len, events)) + BLOCK * EVENT_OVERHEAD_BYTES - len(block)
        del self.recent[:whole]
        self.packed += whole

    def between(self, start: int, stop: int, *, max_bytes: int) -> list[Event]:
        """Events of these indices, as far as they are there.

        Stops before the event that would exceed `max_bytes`, but has one if there is any.
        """
        found: list[Event] = []
        size = 0
        while start < min(stop, self.packed):
            number, skip = divmod(start, BLOCK)
            events = _unpacked(self._blocks[number])[skip : skip + stop - start]
            start += len(events)
            size = _fill(found, events, size, max_bytes)
            if size > max_bytes:
                return found
        _fill(found, self.recent[start - self.packed : stop - self.packed], size, max_bytes)
        return found


def _fill(found: list[Event], events: list[Event], size: int, max_bytes: int) -> int:
    """Add events while there is room; how many bytes were found, or one that has no room."""
    whole = size + sum(map(len, events))
    if whole <= max_bytes:
        found += events
        return whole
    for event in events:
        size += len(event)
        if size > max_bytes and found:
            break
        found.append(event)
    return size


def _packed(events: list[Event]) -> bytes | list[Event]:
    if sum(map(len, events)) > MAX_BLOCK_BYTES:
        return events
    plain = _BETWEEN.join(events)
    if plain.count(_BETWEEN) >= len(events):  # another process has written it so
        return events
    packer = zlib.compressobj(1, zlib.DEFLATED, _WBITS, _MEMORY)
    return packer.compress(plain) + packer.flush()


def _unpacked(block: bytes | list[Event]) -> list[Event]:
    if isinstance(block, list):
        return block
    return cast("list[Event]", zlib.decompress(block, _WBITS).split(_BETWEEN))
