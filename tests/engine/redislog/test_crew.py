"""Tasks that are started again when they fail."""

import asyncio

import pytest

from llm_stream.engine.redislog.crew import Crew
from llm_stream.engine.redislog.link import RedisLink

from ...redisserver import RedisServer
from ...wire import turns


async def test_one_that_fails_is_started_again_and_told_of() -> None:
    """After a fault a task works again, and is down until it has lasted; others go on."""
    starts: list[set[str]] = []
    again, lasts = asyncio.Event(), asyncio.Event()

    async def fails_once() -> None:
        starts.append(set(crew.down))
        if len(starts) == 1:
            raise ValueError
        again.set()
        await asyncio.get_running_loop().create_future()

    async def works() -> None:
        await lasts.wait()
        await asyncio.get_running_loop().create_future()

    crew = Crew({"one": fails_once, "other": works}, pause_seconds=0.001)
    crew.start()
    await again.wait()

    assert starts == [set(), {"one"}]
    while crew.down:
        await asyncio.sleep(0)
    await crew.dismiss()
    assert crew.down == set()


async def test_one_that_ends_is_started_again() -> None:
    """A task that returns, as none should, is a fault too."""
    starts = 0
    thrice = asyncio.Event()

    async def ends() -> None:
        nonlocal starts
        starts += 1
        if starts == 3:
            thrice.set()

    crew = Crew({"one": ends}, pause_seconds=0.001)
    crew.start()
    await thrice.wait()
    await crew.dismiss()

    assert crew.down == {"one"}


async def test_a_cancel_that_is_lost_is_repeated() -> None:
    """A task that takes its cancel for an error and begins again is ended all the same."""
    begun = asyncio.Event()
    lost: list[asyncio.CancelledError] = []

    async def loses_one() -> None:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError as cancel:
            if lost:
                raise
            lost.append(cancel)
            raise ConnectionError from None

    crew = Crew({"inbox": loses_one}, pause_seconds=0.01)
    crew.start()
    await begun.wait()
    async with asyncio.timeout(5):
        await crew.dismiss()

    assert len(lost) == 1


@pytest.mark.slow
async def test_a_listener_is_dismissed_at_any_moment(redis_server: RedisServer) -> None:
    """While it connects or when it listens, in whatever turn of the loop: it ends."""
    for count in range(60):
        link = RedisLink(redis_server.url)

        async def listen(link: RedisLink = link) -> None:
            async for _ in link.messages("inbox"):
                pass

        crew = Crew({"inbox": listen}, pause_seconds=0.01)
        crew.start()
        await turns(count)
        async with asyncio.timeout(5):
            await crew.dismiss()
        await link.close()
