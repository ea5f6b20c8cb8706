"""Joins writes: a reader that is written to very often waits a moment and gets more at once.

A write costs a system call, ten times the rest of a token. Up to `CREDIT` writes in a row go
out at once, so first tokens and the pace of any real model are never held back; beyond a
sustained five hundred writes a second, what comes within two milliseconds goes out together.
"""

import asyncio
from typing import Final

INTERVAL_SECONDS: Final = 0.002
CREDIT: Final = 16.0


class Pace:
    """The allowance of one connection's writer."""

    __slots__ = ("_credit", "_last", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._credit = CREDIT

    def spend(self) -> float:
        """Call after each write; seconds to wait before the next one, 0 while there is credit."""
        now = self._loop.time()
        self._credit = min(CREDIT, self._credit + (now - self._last) / INTERVAL_SECONDS) - 1
        self._last = now
        return INTERVAL_SECONDS if self._credit < 0 else 0.0

    async def rest(self) -> None:
        """Call after each write; returns at once while there is credit."""
        if seconds := self.spend():
            await asyncio.sleep(seconds)
