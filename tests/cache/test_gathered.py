"""Reads that are made together."""

import asyncio
from collections.abc import Sequence

import pytest

from llm_stream.cache.gathered import KEYS, GatheredReads
from llm_stream.errors import CacheUnavailable


class Backend:
    """Answers each key with itself, when it is let; `calls` are the keys of each call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.called = asyncio.Event()

    async def read_many(self, keys: Sequence[str]) -> list[str | None]:
        """As a backend does."""
        self.calls.append(list(keys))
        self.called.set()
        await self.open.wait()
        if "bad" in keys:
            raise CacheUnavailable("it is gone")
        return [None if key == "none" else f"value of {key}" for key in keys]


async def test_reads_of_one_turn_are_one_call() -> None:
    """Each caller gets its own, a key that two want is asked for once."""
    backend = Backend()
    reads = GatheredReads(backend.read_many)

    found = await asyncio.gather(reads.get(["a", "b"]), reads.get(["b", "none"]), reads.get([]))

    assert list(found) == [["value of a", "value of b"], ["value of b", None], []]
    assert backend.calls == [["a", "b", "none"]]


async def test_a_read_waits_for_no_call_that_is_under_way() -> None:
    """It begins another one: what is asked now is read now."""
    backend = Backend()
    backend.open.clear()
    reads = GatheredReads(backend.read_many)
    first = asyncio.create_task(reads.get(["a"]))
    await backend.called.wait()
    backend.called.clear()
    second = asyncio.create_task(reads.get(["a"]))
    await backend.called.wait()
    backend.open.set()

    assert list(await asyncio.gather(first, second)) == [["value of a"]] * 2
    assert backend.calls == [["a"], ["a"]]


async def test_a_call_has_a_bound() -> None:
    """What is beyond goes with the next one."""
    backend = Backend()
    reads = GatheredReads(backend.read_many)

    found = await asyncio.gather(*(reads.get([str(n), f"{n}b"]) for n in range(KEYS)))

    assert [one for one, _ in found] == [f"value of {n}" for n in range(KEYS)]
    assert [len(call) for call in backend.calls] == [KEYS, KEYS]


async def test_who_leaves_harms_nobody() -> None:
    """The call goes on for the others."""
    backend = Backend()
    backend.open.clear()
    reads = GatheredReads(backend.read_many)
    left, stays = (asyncio.create_task(reads.get([key])) for key in "ab")
    await backend.called.wait()
    left.cancel()
    backend.open.set()

    assert await stays == ["value of b"]
    assert left.cancelled()


async def test_a_failure_reaches_all() -> None:
    """Also those whose keys were not the reason; and the next call is a new one."""
    reads = GatheredReads(Backend().read_many)

    found = await asyncio.gather(reads.get(["a"]), reads.get(["bad"]), return_exceptions=True)

    assert [type(error) for error in found] == [CacheUnavailable] * 2
    assert await reads.get(["a"]) == ["value of a"]


async def test_closing_waits_for_calls_that_everybody_left() -> None:
    """No task outlives the reads."""
    backend = Backend()
    backend.open.clear()
    reads = GatheredReads(backend.read_many)
    left = asyncio.create_task(reads.get(["bad"]))
    await backend.called.wait()
    left.cancel()
    closing = asyncio.create_task(reads.close())
    await asyncio.sleep(0)
    assert not closing.done()
    backend.open.set()

    await asyncio.wait_for(closing, 5)
    with pytest.raises(asyncio.CancelledError):
        await left
