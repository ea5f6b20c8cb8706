"""A time limit that a busy event loop does not use up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

TURNS: Final = 100
"""Turns of the loop in which what has arrived gets to where it is waited for, greetings of a new
connection included. They take no time where the loop has nothing else to do."""

MOST_SECONDS: Final = 1.0
"""How long a limit may take where turns take long, or four times its seconds, ..."""

LEAST_TURNS: Final = 10
"""... if so many turns have passed since."""


class _Patience:
    """Ends a limit some turns of the loop after its time, unless its block is over by then."""

    def __init__(self, limit: asyncio.Timeout, seconds: float) -> None:
        self.over = False
        self._limit = limit
        self._last = asyncio.get_running_loop().time() + max(MOST_SECONDS, 4 * seconds)

    def turn(self, left: int) -> None:
        """One turn of the loop has passed."""
        if self.over:
            return
        loop = asyncio.get_running_loop()
        if left > TURNS - LEAST_TURNS or (left and loop.time() < self._last):
            loop.call_soon(self.turn, left - 1)
        else:
            self._limit.reschedule(loop.time())


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """Raise `TimeoutError` in the block when its time is over.

    A loop that was late itself finds the timer and the answer at once, and would take the timer
    for the truth. So the loop turns some times more before the block is cancelled: a hundred times,
    or, where that takes long, until four times the seconds are over, a second at least.
    """
    limit = asyncio.timeout(None)
    # Not a closure: one that names itself keeps the task alive until the collector comes by.
    patience = _Patience(limit, seconds)
    timer = asyncio.get_running_loop().call_later(seconds, patience.turn, TURNS)
    try:
        async with limit:
            try:
                yield
            finally:
                patience.over = True
    finally:
        timer.cancel()
