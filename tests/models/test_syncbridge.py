"""The bridge from a blocking iterator to the loop."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest

from llm_stream.models.syncbridge import SyncThreads, pump


@pytest.fixture
async def threads() -> AsyncGenerator[SyncThreads]:
    """One thread."""
    made = SyncThreads(1)
    yield made
    made.close()


async def test_items_come_in_order_and_errors_where_they_happen(threads: SyncThreads) -> None:
    """Everything before the failure arrives, then the failure itself."""

    def numbers() -> Iterator[int]:
        yield from range(1000)
        raise ValueError("at 1000")

    seen = []
    with pytest.raises(ValueError, match="at 1000"):
        async for number in pump(numbers, await threads.thread()):
            seen.append(number)

    assert seen == list(range(1000))


async def test_a_failing_start_is_told(threads: SyncThreads) -> None:
    """An iterator that cannot be made raises in the reader."""

    def broken() -> Iterator[int]:
        raise OSError("no weights")

    with pytest.raises(OSError, match="no weights"):
        async for _ in pump(broken, await threads.thread()):
            pass


async def test_what_is_meant_for_a_process_does_not_end_this_one(threads: SyncThreads) -> None:
    """SystemExit in a thread becomes an ordinary error here."""

    def leaves() -> Iterator[int]:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match=r"SystemExit\(3\)"):
        async for _ in pump(leaves, await threads.thread()):
            pass


async def test_a_thread_is_free_when_its_work_has_really_ended(threads: SyncThreads) -> None:
    """A reader that leaves a blocked read does not make room for the next call."""
    begun, go_on = threading.Event(), threading.Event()

    def blocks() -> Iterator[int]:
        yield 1
        begun.set()
        go_on.wait(10)
        yield 2

    chunks = pump(blocks, await threads.thread())
    assert await anext(chunks) == 1
    await asyncio.to_thread(begun.wait, 10)
    await chunks.aclose()
    waiting = asyncio.create_task(threads.thread())
    await asyncio.sleep(0)
    assert threads.busy
    assert threads.waiting == 1

    go_on.set()
    turn = await waiting

    assert threads.waiting == 0
    turn.give_back()
    turn.give_back()
    assert not threads.busy
