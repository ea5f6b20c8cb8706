"""What stands behind the shelf: its contract, and how the cache uses it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from llm_stream.cache.shelf import Shelf
from llm_stream.cache.stored import Stored


class SecondLevel(Protocol):
    """Where answers are found that are on the shelf no more. Neither method raises."""

    async def find(self, key: str) -> Stored | None:
        """The newest answer of this fingerprint, however old."""

    async def forget(
        self, keys: Sequence[str] = (), *, name: str | None = None, older_than_seconds: float = 0
    ) -> int:
        """Drop answers by fingerprint or under a name; how many there were."""


class Restored(NamedTuple):
    """An answer that can go back on the shelf, for so many seconds."""

    entry: Stored
    seconds: float


class Behind:
    """A second level whose answers are as valid as those on the shelf.

    Args:
        level: the second level, None: there is none.
        shelf: what it stands behind.
        stale_seconds: how long an answer may be given after it was fresh.

    Attributes:
        exists: whether there is one.
    """

    def __init__(self, level: SecondLevel | None, shelf: Shelf, stale_seconds: float) -> None:
        self.exists = level is not None
        self._level = level
        self._shelf = shelf
        self._stale_seconds = stale_seconds
        self._drops = 0

    async def find(self, key: str) -> Restored | None:
        """The answer, if it may be given and the shelf has none, with the generations of now.

        Raises:
            CacheUnavailable: the shelf cannot say what is valid.
        """
        if self._level is None:
            return None
        drops = self._drops
        entry = await self._level.find(key)
        if entry is None:
            return None
        seconds = entry.fresh_seconds + self._stale_seconds - entry.age_seconds
        newer, marks = await self._shelf.read(key, list(entry.marks))
        # A shelf of this process counts generations from its start, so they tell nothing of
        # earlier ones; what was invalidated then, the second level has forgotten.
        void = self._shelf.shared and marks != entry.marks
        if seconds <= 0 or void or newer is not None or drops != self._drops:
            return None
        return Restored(replace(entry, marks=marks), seconds)

    async def forget(
        self, keys: Sequence[str] = (), *, name: str | None = None, older_than_seconds: float = 0
    ) -> int:
        """Have answers forgotten, and keep those from the shelf that are being found just now."""
        if self._level is None:
            return 0
        self._drops += 1
        try:
            return await self._level.forget(keys, name=name, older_than_seconds=older_than_seconds)
        finally:
            self._drops += 1
