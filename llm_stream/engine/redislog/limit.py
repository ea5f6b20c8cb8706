"""A time limit that a busy event loop does not use up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

TURNS: Final = 100
"""Turns of the loop in which what has arrived gets to where it is waited for, greetings of a new
connection included. They take no time where the loop has nothing else to do."""


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """Raise `TimeoutError` in the block when its time is over.

    A loop that was late itself finds the timer and the answer at once, and would take the timer
    for the truth. So the loop turns some times more before the block is cancelled.
    """
    loop = asyncio.get_running_loop()
    over = False

    def turn(left: int) -> None:
        if over:
            return
        if left:
            loop.call_soon(turn, left - 1)
        else:
            limit.reschedule(loop.time())

    timer = loop.call_later(seconds, turn, TURNS)
    try:
        async with asyncio.timeout(None) as limit:
            try:
                yield
            finally:
                over = True
    finally:
        timer.cancel()
