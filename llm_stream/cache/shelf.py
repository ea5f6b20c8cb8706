"""Where entries are kept, and in this process: the contract `Shelf`, and `MemoryShelf`."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

from llm_stream.cache.memory import BoundedMemoryCache
from llm_stream.cache.stored import Stored

MAX_GENERATIONS: Final = 100_000
"""Names whose generation is remembered; beyond, all entries are dropped and counting begins
anew, which is safe."""


MAX_SECONDS: Final = 400 * 86_400


class Volume(NamedTuple):
    """How much is kept; None where the backend cannot tell."""

    entries: int | None
    bytes: int | None
    evictions: int | None


class Shelf(Protocol):
    """Entries by key, and under names that can be invalidated in one step.

    A name has a generation, a number that only grows. An entry carries the generations of its
    names as of the moment it was asked for (its marks) and is void once one of them has moved on.
    Every method may raise CacheUnavailable where the backend is elsewhere.

    Attributes:
        shared: whether generations outlive this process and count for others too.
    """

    shared: bool

    async def read(self, key: str, names: Sequence[str]) -> tuple[Stored | None, dict[str, int]]:
        """The entry, if there is a valid one, and the generations of these names now."""

    def at_hand(self, key: str, names: Sequence[str]) -> Stored | None:
        """The entry, if it is in this process, valid, and has marks of all these names."""

    async def write(self, key: str, entry: Stored, seconds: float) -> bool:
        """Keep an entry that long, in place of one whose run began earlier; whether it was kept.

        One that is void already, or too large, is not.
        """

    def write_at_hand(self, key: str, entry: Stored, seconds: float) -> bool | None:
        """`write`, without waiting; None where that is not possible, and nothing is written."""

    async def drop(self, keys: Iterable[str], name: str = "") -> int:
        """Drop entries; how many there were. What has expired leaves the list of the name."""

    async def bump(self, name: str) -> int:
        """Void every entry under the name, those being computed included; how many there were."""

    async def page(self, name: str, *, limit: int, skip: int = 0) -> list[dict[str, Any]]:
        """What there is under the name (`Stored.about`), newest first; keeps none of it alive."""

    async def older(self, name: str, seconds: float, *, limit: int) -> list[str]:
        """Keys of entries under the name that are at least that old."""

    async def count(self, name: str) -> int:
        """How many entries are under the name."""

    @property
    def resting(self) -> bool:
        """Whether the backend has just failed and is left alone for a moment."""

    def volume(self) -> Volume:
        """How much is kept by this process."""

    async def close(self) -> None:
        """Let go of the backend."""


class MemoryShelf:
    """Entries in this process, in aiocache's memory backend, bounded.

    Args:
        max_entries, max_bytes: bounds; the least recently used entries go first.
    """

    resting = False
    shared = False

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._cache = BoundedMemoryCache(
            max_entries=max_entries, max_bytes=max_bytes, on_gone=self._unlist
        )
        self._members: dict[str, dict[str, Stored]] = {}
        self._generations: dict[str, int] = {}
        self._floor = 0

    async def read(self, key: str, names: Sequence[str]) -> tuple[Stored | None, dict[str, int]]:
        """See `Shelf`."""
        generation, floor = self._generations.get, self._floor
        marks = {name: generation(name, floor) for name in names}
        entry: Stored | None = await self._cache.get(key)
        # Most entries were asked for under the very names of this call, none of which has moved.
        if entry is not None and entry.marks != marks and self._void(entry):
            await self._cache.delete(key)
            entry = None
        return entry, marks

    def at_hand(self, key: str, names: Sequence[str]) -> Stored | None:
        """See `Shelf`."""
        entry: Stored | None = self._cache.at_hand(key)
        if entry is None:
            return None
        generation, floor, marks = self._generations.get, self._floor, entry.marks
        for name in names:
            if name not in marks:
                return None
        for name, mark in marks.items():
            if mark != generation(name, floor):
                return None
        return entry

    def _void(self, entry: Stored) -> bool:
        return any(self._generation(name) != mark for name, mark in entry.marks.items())

    def _generation(self, name: str) -> int:
        return self._generations.get(name, self._floor)

    async def write(self, key: str, entry: Stored, seconds: float) -> bool:
        """See `Shelf`."""
        return self.write_at_hand(key, entry, seconds)

    def write_at_hand(self, key: str, entry: Stored, seconds: float) -> bool:
        """See `Shelf`."""
        earlier = self._cache.peek(key)
        if self._void(entry) or (earlier and earlier.recording.run > entry.recording.run):
            return False
        # A timer of the loop takes no longer than some years.
        kept = self._cache.put(key, entry, min(seconds, MAX_SECONDS))
        if kept:
            for name in entry.marks:
                self._members.setdefault(name, {})[key] = entry
        return kept

    def _unlist(self, key: str, entry: Stored) -> None:
        for name in entry.marks:
            if (members := self._members.get(name)) is not None:
                members.pop(key, None)
                if not members:
                    del self._members[name]

    async def drop(self, keys: Iterable[str], name: str = "") -> int:
        """See `Shelf`."""
        return sum([await self._cache.delete(key) for key in list(keys)])

    async def bump(self, name: str) -> int:
        """See `Shelf`. Constant time, but for giving the memory back."""
        self._generations[name] = self._generation(name) + 1
        dropped = await self.drop(self._members.get(name, ()))
        if len(self._generations) > MAX_GENERATIONS:
            self._floor = max(self._generations.values()) + 1
            self._generations.clear()
            await self._cache.clear()
        return dropped

    async def page(self, name: str, *, limit: int, skip: int = 0) -> list[dict[str, Any]]:
        """See `Shelf`."""
        members = reversed(self._members.get(name, {}).values())
        return [entry.about for entry in islice(members, skip, skip + limit)]

    async def older(self, name: str, seconds: float, *, limit: int) -> list[str]:
        """See `Shelf`."""
        members = self._members.get(name, {}).items()
        return list(islice((key for key, e in members if e.age_seconds >= seconds), limit))

    async def count(self, name: str) -> int:
        """See `Shelf`."""
        return len(self._members.get(name, ()))

    def volume(self) -> Volume:
        """See `Shelf`."""
        return Volume(len(self._cache), self._cache.bytes, self._cache.evictions)

    async def close(self) -> None:
        """See `Shelf`."""
        await self._cache.clear()
