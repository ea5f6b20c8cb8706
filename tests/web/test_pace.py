"""The pace: a burst goes out at once, a flood is joined."""

import asyncio
from typing import Any

from llm_stream.web.pace import CREDIT, INTERVAL_SECONDS, Pace


async def rests(pace: Any, writes: Any) -> Any:
    """Which of so many writes in a row were made to wait."""
    waited = []
    for number in range(writes):
        turned: list[int] = []
        asyncio.get_running_loop().call_soon(turned.append, 1)
        await pace.rest()
        if turned:
            waited.append(number)
    return waited


async def test_the_first_writes_go_out_at_once() -> None:
    """Up to the credit nobody waits."""
    assert await rests(Pace(), int(CREDIT)) == []


async def test_beyond_the_credit_writes_wait_an_interval() -> None:
    """A reader that is written to without end gets at most one write an interval."""
    pace = Pace()
    await rests(pace, int(CREDIT))
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await rests(pace, 20)

    # One credit comes back each interval, so twenty writes take nearly twenty of them.
    assert loop.time() - began > 15 * INTERVAL_SECONDS
