"""The timers of a model call."""

import asyncio

import pytest

from llm_stream.errors import UpstreamTimedOut
from llm_stream.models.chunks import Reasoning
from llm_stream.models.timers import Speed, Timeouts, Watch, connect_limit


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
        async with Watch(Timeouts(idle_seconds=5, total_seconds=0.02), "m") as watch:
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


class Clock:
    """Monotonic seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 7.0

    def __call__(self) -> float:
        return self.now


def test_speed_is_measured_over_windows() -> None:
    """A fast window does not excuse the next one; nothing is judged before a window's end."""
    clock = Clock()
    speed = Speed(2, 10, clock)
    for _ in range(20):
        clock.now += 0.5
        speed.count("x")
        assert not speed.is_low(clock.now)
    clock.now += 0.5
    assert not speed.is_low(clock.now)
    clock.now += 9.9
    assert not speed.is_low(clock.now)
    clock.now += 0.1

    assert speed.is_low(clock.now)


def test_a_long_chunk_counts_as_several_tokens() -> None:
    """Providers that send sentences are not slower than those that send tokens."""
    clock = Clock()
    speed = Speed(2, 10, clock)
    speed.count("x" * 40)
    speed.count(Reasoning("x" * 40))
    clock.now += 10

    assert not speed.is_low(clock.now)


def test_before_the_first_output_nothing_is_slow() -> None:
    """Thinking in silence is the first-token timer's business."""
    clock = Clock()
    speed = Speed(100, 10, clock)
    clock.now += 1000

    assert not speed.is_low(clock.now)
    assert speed.due == clock.now + 10


async def test_a_drip_is_ended() -> None:
    """A model that says a word or two in a window passes every other timer, not the guard."""
    limits = Timeouts(idle_seconds=30, min_tokens_per_second=1000, slow_window_seconds=0.02)
    with pytest.raises(UpstreamTimedOut, match="below min_tokens_per_second = 1000") as caught:
        async with Watch(limits, "m") as watch:
            assert watch.speed
            for word in ("a", "drip"):
                watch.touch()
                watch.speed.count(word)
            await never()

    assert caught.value.field == "timeouts.min_tokens_per_second"


async def test_without_the_guard_nothing_is_counted() -> None:
    """The guard is off unless asked for."""
    async with Watch(Timeouts(idle_seconds=1), "m") as watch:
        assert watch.speed is None


def test_what_a_request_leaves_out_is_as_usual() -> None:
    """Its own limits win one by one; 0 switches the guard off."""
    usual = Timeouts(60, 60, 600, 10, 5, 10)

    assert Timeouts().over(usual) is usual
    assert Timeouts(idle_seconds=1, min_tokens_per_second=0).over(usual) == Timeouts(
        60, 1, 600, 10, 0, 10
    )


async def test_a_model_can_ask_for_its_connect_limit() -> None:
    """Whoever opens the connection knows the limit of the call it is made for."""
    async with Watch(Timeouts(connect_seconds=3), "m"):
        assert connect_limit() == 3
    async with Watch(Timeouts(), "m"):
        assert connect_limit() is None
