"""A blocking iterator, run in a thread, as an async one."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from typing import Final, TypeVar

T = TypeVar("T")

BUFFERED: Final = 256
"""Items a thread may be ahead of the loop; then it waits."""

POLL_SECONDS: Final = 0.1
"""How often a thread that waits for room looks whether anybody still reads."""


class _Failed:
    """The iterator raised; or, with None, it ended."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


async def pump(make: Callable[[], Iterator[T]], executor: Executor) -> AsyncGenerator[T]:
    """Yield what `make()` yields; both run in one thread of `executor`.

    Leaving returns at once. The thread notices at its next item: it drops that and closes the
    iterator. A read that blocks cannot be interrupted, so until the iterator moves, the thread
    stays taken. If no thread has begun yet, none will.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | _Failed] = asyncio.Queue()
    left = threading.Event()
    room = threading.Semaphore(BUFFERED)

    def hand_over(item: T | _Failed) -> None:
        # After the loop has closed there is nobody to tell.
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        if left.is_set():
            return
        error: BaseException | None = None
        iterator: Iterator[T] | None = None
        try:
            iterator = make()
            for item in iterator:
                while not room.acquire(timeout=POLL_SECONDS):
                    if left.is_set():
                        return
                if left.is_set():
                    return
                hand_over(item)
        except BaseException as caught:  # noqa: BLE001 - it belongs to the reader, see below
            error = caught
        finally:
            if close := getattr(iterator, "close", None):
                close()
            hand_over(_Failed(error))

    future = loop.run_in_executor(executor, work)
    try:
        while True:
            item = await queue.get()
            if isinstance(item, _Failed):
                break
            room.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        left.set()
        future.cancel()
