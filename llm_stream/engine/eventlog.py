"""The append-only log of one run, and the cursor a reader keeps in it.

One task writes, any number of readers pull; neither knows the other. The log is
the queue: a reader costs one index, however slow it is. Nothing here awaits a
socket, and nothing here is safe to call from another thread.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from typing import Final, Self

from llm_stream.errors import InvalidCursor, OutputTooLarge
from llm_stream.events import TERMINAL_TYPES, Event, Payload

EVENT_OVERHEAD_BYTES: Final = 200
"""What an `Event` costs beside its data: the object, its id string, its place in the list."""

READ_BYTES: Final = 65_536
"""Most bytes that one `take` hands out, so that a slow reader pins no more than that."""

_CURSOR: Final = re.compile(r"([1-9]\d{0,9})-([1-9]\d{0,9})", re.ASCII)


class LogSealed(RuntimeError):
    """Something was appended after the terminal event: a bug in the writer."""


class EventLog:
    """Events of one run in order, sealed by exactly one terminal event.

    Args:
        run: id of the run, part of every event.
        max_bytes: bound of the whole log (data and overhead), the terminal event excepted.
        epoch: first half of every cursor; 1 unless another replica took the run over.
        clock: monotonic seconds; `t_ms` counts from the moment of construction.
    """

    __slots__ = ("_bytes", "_clock", "_epoch", "_events", "_max_bytes", "_run", "_waiting",
                 "born", "sealed")  # fmt: skip

    def __init__(
        self,
        run: str,
        *,
        max_bytes: int,
        epoch: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._max_bytes = max_bytes
        self._epoch = epoch
        self._clock = clock
        self._events: list[Event] = []
        self._bytes = 0
        self._waiting: list[Callable[[], None]] = []
        self.born = clock()
        self.sealed = False

    def __len__(self) -> int:
        return len(self._events)

    @property
    def bytes(self) -> int:
        """Approximate memory the log holds."""
        return self._bytes

    @property
    def cursor(self) -> str:
        """Cursor of the newest event, "0" while there is none."""
        return self._events[-1].position if self._events else "0"

    def append(self, payload: Payload) -> Event:
        """Give the payload its place, encode it once and wake the readers.

        Raises:
            OutputTooLarge: the log is full (a terminal event always fits).
            LogSealed: a terminal event is already there.
        """
        if self.sealed:
            raise LogSealed(f"{self._run} has ended; {payload['type']} came after it")
        t_ms = int((self._clock() - self.born) * 1000)
        event = Event(self._epoch, len(self._events) + 1, self._run, t_ms, payload)
        size = len(event.data) + EVENT_OVERHEAD_BYTES
        if event.type in TERMINAL_TYPES:
            self.sealed = True
        elif self._bytes + size > self._max_bytes:
            raise OutputTooLarge(
                f"The run produced more than {self._max_bytes} bytes of events. "
                "Ask for a shorter answer (max_tokens) or raise runs.max_log_bytes.",
                run=self._run,
            )
        self._bytes += size
        self._events.append(event)
        if self._waiting:
            # Each callback fires once; a reader that is behind is not registered. So many
            # appends in one turn of the loop cost one wake-up a reader.
            waiting, self._waiting = self._waiting, []
            for wake in waiting:
                wake()
        return event

    def locate(self, after: str) -> int:
        """Number of events at or before the cursor `after` (exclusive start of reading).

        Args:
            after: "0" for the start, "now" for the end, or a cursor of this log.

        Raises:
            InvalidCursor: the cursor was never issued for this run (the caller's doing).
        """
        if after == "0":
            return 0
        if after == "now":
            return len(self)
        match = _CURSOR.fullmatch(after)
        if match and int(match[1]) == self._epoch and int(match[2]) <= len(self):
            return int(match[2])
        raise InvalidCursor(
            "The cursor was never issued for this run. Use the id of an event you received, "
            '"0" for the start or "now" for new events only.',
            field="after",
            run=self._run,
        )

    def slice(self, start: int, *, limit: int, max_bytes: int = READ_BYTES) -> list[Event]:
        """Up to `limit` events from index `start`, at least one if there is any.

        Stops before the event that would exceed `max_bytes` of data.
        """
        found: list[Event] = []
        size = 0
        for event in self._events[start : start + limit]:
            size += len(event.data)
            if size > max_bytes and found:
                break
            found.append(event)
        return found

    def notify(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, at the next append. It must not raise or append."""
        self._waiting.append(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """Take a callback back; harmless if it has fired or was never there."""
        if callback in self._waiting:
            self._waiting.remove(callback)


class Subscription:
    """One reader's cursor in one log.

    Read either with `batches` or, where one task serves many, with `take`
    and `EventLog.notify`. `on_close` is called once, by `close`.
    """

    __slots__ = ("_on_close", "index", "log")

    def __init__(
        self, log: EventLog, index: int, on_close: Callable[[], None] | None = None
    ) -> None:
        self.log = log
        self.index = index
        self._on_close = on_close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def behind(self) -> int:
        """How many events are there to take."""
        return len(self.log) - self.index

    @property
    def ended(self) -> bool:
        """Whether the terminal event has been taken."""
        return self.log.sealed and not self.behind

    def take(self, *, limit: int = 1024, max_bytes: int = READ_BYTES) -> list[Event]:
        """Events not yet taken, oldest first; empty when there are none. Never waits."""
        found = self.log.slice(self.index, limit=limit, max_bytes=max_bytes)
        self.index += len(found)
        return found

    async def wait(self) -> None:
        """Return as soon as there is something to take, or at once if the log has ended.

        Cancelling the wait leaves no trace.
        """
        # No await between this look and the registration, or an append could slip by.
        if self.behind or self.log.sealed:
            return
        future = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not future.done():
                future.set_result(None)

        self.log.notify(wake)
        try:
            await future
        except asyncio.CancelledError:
            self.log.forget(wake)
            raise

    async def batches(self) -> AsyncGenerator[list[Event]]:
        """Yield everything there is, then what comes, until the terminal event was yielded."""
        while not self.ended:
            batch = self.take()
            if batch:
                yield batch
            else:
                await self.wait()

    def close(self) -> None:
        """Leave the log. Idempotent."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
