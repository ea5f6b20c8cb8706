"""A blocking iterator, run in a thread, as an async one."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from typing import Final, Generic, TypeVar

T = TypeVar("T")

BUFFERED: Final = 256
"""Items a thread may be ahead of the loop; then it waits."""

POLL_SECONDS: Final = 0.1
"""How often a thread that waits for room looks whether anybody still reads."""


class _Ended:
    """The iterator ended, or raised `error`."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Feeder(Generic[T]):
    """The thread's side: iterates, hands over, stops when nobody reads."""

    def __init__(self, make: Callable[[], Iterator[T]], loop: asyncio.AbstractEventLoop) -> None:
        self._make = make
        self._loop = loop
        self.queue: asyncio.Queue[T | _Ended] = asyncio.Queue()
        self.left = threading.Event()
        self.room = threading.Semaphore(BUFFERED)

    def work(self) -> None:
        """Run in the thread, to the iterator's end or until the reader has left."""
        if self.left.is_set():
            return
        error: BaseException | None = None
        iterator: Iterator[T] | None = None
        try:
            iterator = self._make()
            for item in iterator:
                if not self._has_room():
                    break
                self._hand_over(item)
        except BaseException as caught:  # noqa: BLE001 - it is raised again where it is awaited
            error = caught
        finally:
            if close := getattr(iterator, "close", None):
                close()
            self._hand_over(_Ended(error))

    def _has_room(self) -> bool:
        while not self.room.acquire(timeout=POLL_SECONDS):
            if self.left.is_set():
                return False
        return not self.left.is_set()

    def _hand_over(self, item: T | _Ended) -> None:
        # After the loop has closed there is nobody to tell.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.queue.put_nowait, item)


async def pump(make: Callable[[], Iterator[T]], executor: Executor) -> AsyncGenerator[T]:
    """Yield what `make()` yields; both run in one thread of `executor`.

    Leaving returns at once. The thread notices at its next item: it drops that and closes the
    iterator. A read that blocks cannot be interrupted, so until the iterator moves, the thread
    stays taken. If no thread has begun yet, none will.
    """
    loop = asyncio.get_running_loop()
    feeder = _Feeder(make, loop)
    future = loop.run_in_executor(executor, feeder.work)
    try:
        while not isinstance(item := await feeder.queue.get(), _Ended):
            feeder.room.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        feeder.left.set()
        future.cancel()
