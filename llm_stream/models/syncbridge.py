"""A blocking iterator, run in one of a few threads, as an async one."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

T = TypeVar("T")

BUFFERED: Final = 256
"""Items a thread may be ahead of the loop; then it waits."""

POLL_SECONDS: Final = 0.1
"""How often a thread that waits for room looks whether anybody still reads."""


class SyncThreads:
    """The threads of sync models; a call waits for one before its timers begin.

    Args:
        count: threads, i.e. calls at once.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, "sync-model")
        self._free = asyncio.Semaphore(count)
        self.waiting = 0

    @property
    def busy(self) -> bool:
        """Whether a call would have to wait now."""
        return self._free.locked()

    async def thread(self) -> "Turn":
        """Wait for a free thread. The turn has to be used by `pump`, or given back."""
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        return Turn(self._pool, self._free)

    def close(self) -> None:
        """Take no more calls; does not wait for a thread that is blocked in a read."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Turn:
    """One call's right to a thread."""

    def __init__(self, pool: ThreadPoolExecutor, free: asyncio.Semaphore) -> None:
        self._pool = pool
        self._free = free
        self._loop = asyncio.get_running_loop()
        self._taken = False

    def start(self, work: Callable[[], None]) -> None:
        """Run the work; the thread counts as free again when it has really ended."""
        self._taken = True
        self._pool.submit(work).add_done_callback(lambda _: self._from_thread(self._free.release))

    def _from_thread(self, call: Callable[[], None]) -> None:
        # After the loop has closed there is nobody to tell.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def give_back(self) -> None:
        """Free the thread if nothing was started in it. Idempotent."""
        if not self._taken:
            self._taken = True
            self._free.release()


class _Ended:
    """The iterator ended, or raised `error`."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Feeder(Generic[T]):
    """The thread's side: iterates, hands over, stops when nobody reads."""

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        self._make = make
        self._loop = asyncio.get_running_loop()
        self.queue: asyncio.Queue[T | _Ended] = asyncio.Queue()
        self.left = threading.Event()
        self.room = threading.Semaphore(BUFFERED)

    def run(self) -> None:
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


async def pump(make: Callable[[], Iterator[T]], turn: Turn) -> AsyncGenerator[T]:
    """Yield what `make()` yields; made, iterated and closed in the turn's thread.

    Leaving returns at once. The thread notices at its next item: it drops that and closes the
    iterator. A read that blocks cannot be interrupted, so until the iterator moves, the thread
    stays taken.

    Raises:
        RuntimeError: the iterator raised what is meant for a process (`SystemExit`, say).
    """
    feeder = _Feeder(make)
    turn.start(feeder.run)
    try:
        while not isinstance(item := await feeder.queue.get(), _Ended):
            feeder.room.release()
            yield item
        if item.error is not None and not isinstance(item.error, Exception):
            raise RuntimeError(f"the model raised {item.error!r}") from item.error
        if item.error is not None:
            raise item.error
    finally:
        feeder.left.set()
