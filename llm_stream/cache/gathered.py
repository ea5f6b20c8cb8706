"""Reads of one turn of the event loop, made by one call to the backend."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

KEYS: Final = 128
"""Most keys of one call, so that it takes no longer than the limit of a call allows."""

ReadMany = Callable[[Sequence[str]], Awaitable[Sequence[Any]]]
"""The values of these keys, in their order; None for what is not there."""


class GatheredReads:
    """Reads keys, those of many callers at once: a call costs about the same for all as for one.

    Args:
        read_many: makes the call; its errors reach all who wait for it.
    """

    def __init__(self, read_many: ReadMany) -> None:
        self._read_many = read_many
        self._wanted: dict[str, None] = {}
        self._gathering: asyncio.Task[Mapping[str, Any]] | None = None
        self._calls: set[asyncio.Task[Mapping[str, Any]]] = set()

    async def get(self, keys: Sequence[str]) -> list[Any]:
        """The values of these keys, in their order; None for what is not there.

        Cancelling it leaves the call to the others.
        """
        if not keys:
            return []
        if self._gathering is None or len(self._wanted) >= KEYS:
            self._wanted = {}
            self._gathering = asyncio.create_task(self._read(self._wanted), name="cache-read")
            self._calls.add(self._gathering)
            self._gathering.add_done_callback(self._done)
        self._wanted.update(dict.fromkeys(keys))
        values = await asyncio.shield(self._gathering)
        return [values[key] for key in keys]

    async def _read(self, wanted: dict[str, None]) -> Mapping[str, Any]:
        # It runs in the next turn of the loop: all of this turn have said by then what they want.
        if self._wanted is wanted:
            self._gathering = None
        keys = list(wanted)
        return dict(zip(keys, await self._read_many(keys), strict=True))

    def _done(self, task: asyncio.Task[Mapping[str, Any]]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # everybody may have left before it failed

    async def close(self) -> None:
        """Return when no call is under way."""
        await asyncio.gather(*self._calls, return_exceptions=True)
