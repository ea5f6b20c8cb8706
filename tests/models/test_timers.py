"""The timers of a model call."""

import asyncio

import pytest

from llm_stream.errors import UpstreamTimedOut
from llm_stream.models.timers import Timeouts, Watch


async def never() -> None:
    """Wait for ever."""
    await asyncio.get_running_loop().create_future()


async def test_no_first_token_in_time() -> None:
    """Without a chunk the first-token timer fires and is named."""
    with pytest.raises(UpstreamTimedOut, match="first_token_seconds = 0.01") as caught:
        async with Watch(Timeouts(first_token_seconds=0.01, idle_seconds=30), "m"):
            await never()

    assert caught.value.field == "timeouts.first_token_seconds"


async def test_silence_between_chunks() -> None:
    """After a chunk the idle timer counts, not the first-token timer."""
    with pytest.raises(UpstreamTimedOut, match="idle_seconds = 0.02"):
        async with Watch(Timeouts(first_token_seconds=0.005, idle_seconds=0.02), "m") as watch:
            watch.touch()
            await never()


async def test_the_total_fires_however_much_comes() -> None:
    """A model that keeps talking is ended by the total timer."""
    with pytest.raises(UpstreamTimedOut, match="total_seconds = 0.02"):
        async with Watch(Timeouts(idle_seconds=0.01, total_seconds=0.02), "m") as watch:
            while True:
                watch.touch()
                await asyncio.sleep(0)


async def test_a_foreign_cancellation_passes() -> None:
    """A cancel from outside is not taken for a timer."""

    async def body() -> None:
        async with Watch(Timeouts(total_seconds=30), "m"):
            await never()

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_without_limits_nothing_is_armed() -> None:
    """All None means no timer, and touching is harmless."""
    async with Watch(Timeouts(), "m") as watch:
        watch.touch()
