"""Several inner runs at once, all of them ended when left."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

T = TypeVar("T")

Stream = AsyncGenerator[T]


async def as_they_end(work: Iterable[Coroutine[Any, Any, T]], at_once: int) -> AsyncGenerator[T]:
    """Yield results in the order in which they come, `at_once` under way at a time.

    The first failure is raised and ends the others; so does leaving, and both wait until every
    one of them has ended.
    """
    waiting = list(work)[::-1]
    running: set[asyncio.Task[T]] = set()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.add(asyncio.create_task(waiting.pop()))
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            # A failure must not be lost among the results of the same turn.
            for task in sorted(done, key=lambda task: task.exception() is not None):
                yield task.result()
    finally:
        for coroutine in waiting:
            coroutine.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def merged(streams: Sequence[Stream[T]], at_once: int) -> AsyncGenerator[T]:
    """Yield what several streams yield, as it comes, `at_once` of them read at a time.

    The first failure is raised; it, and leaving, closes every stream before this returns.
    """
    queue: asyncio.Queue[T | None] = asyncio.Queue()

    async def pump(stream: Stream[T]) -> None:
        async with aclosing(stream) as items:
            async for item in items:
                queue.put_nowait(item)

    async def pump_all() -> None:
        try:
            async with aclosing(as_they_end([pump(s) for s in streams], at_once)) as ends:
                async for _ in ends:
                    pass
        finally:
            queue.put_nowait(None)

    pumping = asyncio.create_task(pump_all())
    try:
        while (item := await queue.get()) is not None:
            yield item
        await pumping
    finally:
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)
