"""aiocache's memory backend with the bounds it lacks."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from llm_stream.cache.backend import SimpleMemoryCache
from llm_stream.cache.stored import Stored


class BoundedMemoryCache(SimpleMemoryCache):  # type: ignore[misc]
    """Entries in this process, the least recently used out first.

    Args:
        max_entries: most entries.
        max_bytes: most bytes of all entries; one that is larger alone is not stored.
        on_gone: called with each entry that expired, was evicted or replaced.

    Attributes:
        bytes: of all entries now.
        evictions: entries that had to make room.
    """

    def __init__(
        self, *, max_entries: int, max_bytes: int, on_gone: Callable[[str, Stored], object]
    ) -> None:
        super().__init__(timeout=None)  # nothing here waits
        self._cache: OrderedDict[str, Any] = OrderedDict()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._on_gone = on_gone
        self.bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._cache)

    async def get(self, key: str, default: Any = None, **_: Any) -> Any:
        """The entry of a key; of aiocache's wrappers, time limit and plugins, none is used."""
        entry = self.at_hand(key)
        return default if entry is None else entry

    def at_hand(self, key: str) -> Any:
        """The entry of a key, or None; it counts as used."""
        entry = self._cache.get(key)
        if entry is not None:
            self._cache.move_to_end(key)
        return entry

    def peek(self, key: str) -> Any:
        """The entry of a key, or None; no use of it."""
        return self._cache.get(key)

    async def _get(self, key: str, encoding: str = "utf-8", _conn: Any = None) -> Any:
        return self.at_hand(key)

    async def _set(
        self, key: str, value: Any, ttl: Any = None, _cas_token: Any = None, _conn: Any = None
    ) -> bool:
        return self.put(key, value, ttl)

    def put(self, key: str, value: Any, ttl: float | None) -> bool:
        """Keep an entry that many seconds, None = until it has to make room; whether it fits."""
        self._drop(key)
        if value.size > self._max_bytes:
            return False
        self._cache[key] = value
        self.bytes += value.size
        if ttl:
            loop = asyncio.get_running_loop()
            self._handlers[key] = loop.call_later(ttl, self._drop, key)
        while len(self._cache) > self._max_entries or self.bytes > self._max_bytes:
            self.evictions += 1
            self._drop(next(iter(self._cache)))
        return True

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(self._drop(key))

    async def _clear(self, namespace: Any = None, _conn: Any = None) -> bool:
        for key in list(self._cache):
            self._drop(key)
        return True

    async def _close(self, *_: Any, **__: Any) -> None:
        await self._clear()

    def _drop(self, key: str) -> bool:
        entry = self._cache.pop(key, None)
        if entry is None:
            return False
        self.bytes -= entry.size
        if (timer := self._handlers.pop(key, None)) is not None:
            timer.cancel()
        self._on_gone(key, entry)
        return True
