"""Blocking work in a thread whose results are read as an async iterator."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from typing import Final, Generic, TypeVar

T = TypeVar("T")

Give = Callable[[T], bool]
"""Hands an item to the reader; False = nobody reads any more, stop."""

BUFFERED: Final = 256
"""Items a thread may be ahead of the loop; then it waits."""

POLL_SECONDS: Final = 0.1
"""How often a thread that waits for room looks whether anybody still reads."""


class _Ended:
    """The work is done, or raised `error`."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Feeder(Generic[T]):
    """The thread's side."""

    def __init__(self, work: Callable[[Give[T]], None], loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop
        self.queue: asyncio.Queue[T | _Ended] = asyncio.Queue()
        self.left = threading.Event()
        self.room = threading.Semaphore(BUFFERED)

    def run(self) -> None:
        """Run in the thread, to the work's end."""
        if self.left.is_set():
            return
        error: BaseException | None = None
        try:
            self._work(self._give)
        except BaseException as caught:  # noqa: BLE001 - it is raised again where it is awaited
            error = caught
        self._hand_over(_Ended(error))

    def _give(self, item: T) -> bool:
        while not self.room.acquire(timeout=POLL_SECONDS):
            if self.left.is_set():
                return False
        if self.left.is_set():
            return False
        self._hand_over(item)
        return True

    def _hand_over(self, item: T | _Ended) -> None:
        # After the loop has closed there is nobody to tell.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.queue.put_nowait, item)


async def push(work: Callable[[Give[T]], None], executor: Executor) -> AsyncGenerator[T]:
    """Yield what `work(give)` gives; it runs in one thread of `executor`.

    Leaving returns at once; the thread learns of it when it next gives something. What blocks
    cannot be interrupted, so until then the thread stays taken. If no thread has begun the
    work yet, none will.
    """
    loop = asyncio.get_running_loop()
    feeder = _Feeder(work, loop)
    future = loop.run_in_executor(executor, feeder.run)
    try:
        while not isinstance(item := await feeder.queue.get(), _Ended):
            feeder.room.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        feeder.left.set()
        future.cancel()


def pump(make: Callable[[], Iterator[T]], executor: Executor) -> AsyncGenerator[T]:
    """Yield what the iterator `make()` yields, made, iterated and closed in one thread."""

    def work(give: Give[T]) -> None:
        iterator = make()
        try:
            for item in iterator:
                if not give(item):
                    break
        finally:
            if close := getattr(iterator, "close", None):
                close()

    return push(work, executor)
