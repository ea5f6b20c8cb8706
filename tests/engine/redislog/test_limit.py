"""The time limit of a call to Redis."""

import asyncio
import time

import pytest

from llm_stream.engine.redislog.limit import time_limit


async def test_what_never_comes_is_given_up() -> None:
    """Waiting for nothing ends with TimeoutError."""
    with pytest.raises(TimeoutError):
        async with time_limit(0.01):
            await asyncio.get_running_loop().create_future()


async def test_a_late_loop_is_not_a_late_answer() -> None:
    """An answer that came in time is taken, though the loop was blocked beyond the limit."""
    answer = asyncio.get_running_loop().create_future()

    def block() -> None:
        time.sleep(0.05)
        answer.set_result("there")

    asyncio.get_running_loop().call_soon(block)
    async with time_limit(0.01):
        assert await answer == "there"


async def test_a_block_that_ended_is_not_cancelled_later() -> None:
    """The timer of a block that is over does nothing."""
    asyncio.get_running_loop().call_soon(time.sleep, 0.005)
    async with time_limit(0.001):
        pass
    for _ in range(20):
        await asyncio.sleep(0)


async def test_cancelling_is_no_timeout() -> None:
    """Who cancels the block gets CancelledError."""

    async def wait() -> None:
        async with time_limit(10):
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
