"""Entries on their way to the shelf: found meanwhile, written one after the other."""

import asyncio
from collections.abc import Callable

from llm_stream.cache.shelf import Shelf
from llm_stream.cache.stored import Stored
from llm_stream.errors import CacheUnavailable


class Writes:
    """What is being written. The tasks are this object's; `settled` waits for them.

    Args:
        shelf: where entries go.
        failed: told of a write that failed; the entry is lost then.
    """

    def __init__(self, shelf: Shelf, failed: Callable[[CacheUnavailable], None]) -> None:
        self._shelf = shelf
        self._failed = failed
        self._entries: dict[str, Stored] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def get(self, key: str) -> Stored | None:
        """The entry of that key that is on its way."""
        return self._entries.get(key)

    def put(
        self, key: str, entry: Stored, seconds: float, written: Callable[[], object] | None = None
    ) -> None:
        """Keep an entry for so many seconds, unless one of a later run is on its way.

        `written` is called when it is on the shelf. From now on `get` has it.
        """
        pending = self._entries.get(key)
        # Ids of runs sort by their beginning: who began earlier knows less.
        if pending is not None and pending.recording.run > entry.recording.run:
            return
        if key not in self._tasks:
            kept = self._shelf.write_at_hand(key, entry, seconds)
            if kept is not None:
                if kept and written is not None:
                    written()
                return
        self._entries[key] = entry
        # One after the other for each key, or the older one could come last.
        write = asyncio.create_task(
            self._write(key, entry, seconds, written, self._tasks.get(key)), name=f"cache {key}"
        )
        self._tasks[key] = write
        write.add_done_callback(lambda done: self._forget(key, done))

    async def _write(
        self,
        key: str,
        entry: Stored,
        seconds: float,
        written: Callable[[], object] | None,
        earlier: asyncio.Task[None] | None,
    ) -> None:
        if earlier is not None:
            await asyncio.wait((earlier,))
        try:
            # One that was overtaken while it waited is not worth writing.
            timely = self._entries.get(key) is entry
            if timely and await self._shelf.write(key, entry, seconds) and written is not None:
                written()
        except CacheUnavailable as error:
            self._failed(error)
        finally:
            if self._entries.get(key) is entry:
                del self._entries[key]

    def _forget(self, key: str, done: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is done:
            del self._tasks[key]

    async def settled(self) -> None:
        """Return when what was put so far is on the shelf, or has failed to get there."""
        if writes := tuple(self._tasks.values()):
            await asyncio.wait(writes)
