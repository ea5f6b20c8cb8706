"""Rates and sums, in memory and in Redis."""

from collections.abc import AsyncIterator

import pytest

from llm_stream.access.counters import Counters, MemoryCounters, Rate, RedisCounters, Window
from llm_stream.engine.redislog.link import RedisLink

from ..engine.conftest import Clock
from ..redisserver import RedisServer

MINUTE = Window("minute", 60)


@pytest.fixture(params=["memory", "redis"])
async def counters(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Counters]:
    """Either kind; sums by the test's clock."""
    if request.param == "memory":
        yield MemoryCounters(clock)
        return
    link = RedisLink(request.getfixturevalue("redis_server").url)
    yield RedisCounters(link, "t", clock)
    await link.close()


@pytest.fixture
def clock() -> Clock:
    """At the beginning of a minute and a day."""
    clock = Clock()
    clock.now = 86_400.0 * 20_000
    return clock


async def test_a_burst_is_had_at_once_and_the_next_after_its_time(counters: Counters) -> None:
    """Of three a minute, three; then twenty seconds are to be waited for. Names do not mix."""
    rate = Rate(1 / 20, 3)
    had = [await counters.take("a", rate) for _ in range(5)]

    assert had[:3] == [0, 0, 0]
    assert had[3] == pytest.approx(20, abs=1)
    assert had[4] == pytest.approx(20, abs=1)
    assert await counters.take("b", rate) == 0


async def test_what_is_not_had_comes_back() -> None:
    """At the steady rate."""
    clock = Clock()
    counters, rate = MemoryCounters(steady=clock), Rate(2, 1)
    assert [await counters.take("a", rate) for _ in range(2)] == [0, 0.5]
    clock.now += 0.5

    assert await counters.take("a", rate) == 0


async def test_several_are_had_at_once_and_waited_for_later(counters: Counters) -> None:
    """All of them or none."""
    rate = Rate(1 / 20, 2)

    assert await counters.take("a", rate, 4) == 0
    assert await counters.take("a", rate, 4) == pytest.approx(60, abs=1)


async def test_a_clock_of_redis_that_is_set_back_is_not_waited_for(
    redis_server: RedisServer,
) -> None:
    """Longer than for the largest batch, that is."""
    link = RedisLink(redis_server.url)
    counters, rate = RedisCounters(link, "t"), Rate(100, 1)
    await link.ask([("SET", "t:rate:a", "99999999999")])
    wait = await counters.take("a", rate)
    await link.close()

    assert 0 < wait < 3


async def test_a_sum_is_of_its_window(counters: Counters, clock: Clock) -> None:
    """And begins anew with the next."""
    day = Window("day", 86_400)
    for window in (MINUTE, day):
        await counters.add("a", window, 3)
        await counters.add("a", window, 4)
    first = await counters.sums("a", [MINUTE, day])
    clock.now += 60
    await counters.add("a", MINUTE, 1)

    assert first == [7, 7]
    assert await counters.sums("a", [MINUTE, day]) == [1, 7]
    assert await counters.sums("b", [MINUTE]) == [0]


def test_a_window_says_when_it_ends() -> None:
    """In seconds."""
    assert MINUTE.left(61) == 59


async def test_a_first_one_is_had_at_any_time() -> None:
    """Sums with the time are rounded; nobody is to wait for what was lost there."""
    clock = Clock()
    for tick in range(1000):
        clock.now = 32_700.123456789 + tick * 0.05
        assert await MemoryCounters(steady=clock).take("a", Rate(0.01, 1)) == 0
