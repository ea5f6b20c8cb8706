"""The time limit of a call to Redis."""

import asyncio
import threading

import pytest

from llm_stream.engine.redislog.limit import TURNS, time_limit

from ...wire import turns


async def test_what_never_comes_is_given_up() -> None:
    """Waiting for nothing ends with TimeoutError."""
    with pytest.raises(TimeoutError):
        async with time_limit(0.01):
            await asyncio.get_running_loop().create_future()


async def test_a_late_loop_is_not_a_late_answer() -> None:
    """An answer that arrives in the turns after the timer has gone off is taken."""
    async with time_limit(0):
        await turns(TURNS // 2)


async def test_a_block_that_ended_is_not_cancelled_later() -> None:
    """The timer of a block that is over does nothing, though it had gone off."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    async with time_limit(0):
        await turns(TURNS // 2)
    await turns(TURNS)

    assert faults == []


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


async def test_a_busy_loop_does_not_wait_for_a_hundred_turns() -> None:
    """Where turns take long, four times the seconds are the end of it."""
    loop, turned, over = asyncio.get_running_loop(), 0, False

    def work() -> None:
        nonlocal turned
        turned += 1
        threading.Event().wait(0.05)
        if not over:
            loop.call_soon(work)

    loop.call_soon(work)
    with pytest.raises(TimeoutError):
        async with time_limit(0.25):
            await loop.create_future()
    over = True

    assert turned < TURNS / 2
