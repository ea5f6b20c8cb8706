"""Several things at once: as they end, in bounds, and none left behind."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from llm_stream.recipes.concurrent import as_they_end, merged


class Work:
    """Pieces of work that end when they are told to."""

    def __init__(self) -> None:
        self.under_way: set[int] = set()
        self.most = 0
        self.go = [asyncio.Event() for _ in range(6)]

    async def one(self, number: int) -> int:
        """Wait to be told, then answer with the own number."""
        self.under_way.add(number)
        self.most = max(self.most, len(self.under_way))
        try:
            await self.go[number].wait()
        finally:
            self.under_way.discard(number)
        return number


async def test_results_come_in_the_order_of_their_end() -> None:
    """Whoever is done first is given out first, at most so many at once."""
    work = Work()
    seen = []
    async with aclosing(as_they_end([work.one(n) for n in range(4)], 2)) as results:
        following = asyncio.ensure_future(anext(results))
        while len(work.under_way) < 2:
            await asyncio.sleep(0)
        work.go[1].set()
        seen.append(await following)
        for event in work.go:
            event.set()
        seen += [number async for number in results]

    assert seen[0] == 1
    assert sorted(seen) == [0, 1, 2, 3]
    assert work.most == 2


async def test_leaving_ends_what_is_under_way() -> None:
    """After the closing nothing runs, and what had not begun never does."""
    work = Work()
    work.go[0].set()
    async with aclosing(as_they_end([work.one(n) for n in range(4)], 2)) as results:
        assert await anext(results) == 0
        assert work.under_way

    assert work.under_way == set()


async def test_a_failure_ends_the_others() -> None:
    """The first failure is raised where results are read; the rest is cancelled."""
    work = Work()

    async def fails() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        async for _ in as_they_end([work.one(0), fails()], 4):
            pass

    while work.under_way:
        await asyncio.sleep(0)


async def say(
    *words: str, fail: bool = False, closed: list[str] | None = None
) -> AsyncGenerator[str]:
    """A stream of words."""
    try:
        for word in words:
            yield word
            await asyncio.sleep(0)
        if fail:
            raise ValueError("broken")
    finally:
        if closed is not None:
            closed.append(words[0])


async def test_streams_are_merged_as_they_come() -> None:
    """Everything of every stream, each stream's own order kept."""
    seen = [word async for word in merged([say("a", "b"), say("x", "y", "z")], 2)]

    assert sorted(seen) == ["a", "b", "x", "y", "z"]
    assert seen.index("a") < seen.index("b")
    assert seen.index("x") < seen.index("y") < seen.index("z")


async def test_a_broken_stream_closes_the_others() -> None:
    """What came before is given out, then the failure; every stream is closed."""
    closed: list[str] = []
    streams = [say("a", fail=True, closed=closed), say(*"xyz" * 100, closed=closed)]
    seen = []
    with pytest.raises(ValueError, match="broken"):
        async for word in merged(streams, 2):
            seen.append(word)

    assert "a" in seen
    assert sorted(closed) == ["a", "x"]


async def test_leaving_a_merge_closes_every_stream() -> None:
    """A reader that leaves after one word leaves nothing open."""
    closed: list[str] = []
    streams = [say("a", "b", closed=closed), say("x", "y", closed=closed)]
    async with aclosing(merged(streams, 2)) as words:
        await anext(words)

    assert sorted(closed) == ["a", "x"]
