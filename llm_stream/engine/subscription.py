"""A reader's cursor in a log."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Self

from llm_stream.engine.chapters import Place, place_of
from llm_stream.engine.eventlog import READ_BYTES, EventLog, Gap
from llm_stream.errors import LogUnavailable
from llm_stream.events import Event, position_of


class Subscription:
    """One reader's cursor in one log.

    Read either with `batches` or, where one task serves many, with `take`
    and `EventLog.notify`; there, ask for `gap` before every `take`.

    Args:
        log: what is read.
        index: of the first event to take.
        on_close: called once, by `close`.
        after: the cursor the reader gave.
        skip: hand out only what is behind this place: the reader has been further in the log
            than this copy of it.
    """

    __slots__ = ("_after", "_last", "_on_close", "_skip", "_told", "index", "log")

    def __init__(
        self,
        log: EventLog,
        index: int,
        on_close: Callable[[], None] | None = None,
        *,
        after: str = "0",
        skip: Place | None = None,
    ) -> None:
        self.log = log
        self.index = index
        self._on_close = on_close
        self._after = after
        self._last: Event | None = None
        self._skip = skip
        self._told = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def behind(self) -> int:
        """How many events are there to take."""
        return self.log.count - self.index

    @property
    def ended(self) -> bool:
        """Whether the terminal event has been taken."""
        return self.log.sealed and not self.behind

    def take(self, *, limit: int = 1024, max_bytes: int = READ_BYTES) -> list[Event]:
        """Events not yet taken, oldest first; empty when there are none. Never waits."""
        found = self.log.slice(self.index, limit=limit, max_bytes=max_bytes)
        self.index += len(found)
        if self._skip is not None and found:
            found = [event for event in found if place_of(event) > self._skip]
            self._skip = None if found else self._skip
        if found:
            self._last = found[-1]
        return found

    def gap(self) -> Gap | None:
        """What the reader misses before the event it would take next; said once."""
        if not self.log.holed or self.index == self._told or not self.behind:
            return None
        self._told = self.index
        return self.log.gap_at(self.index, position_of(self._last) if self._last else self._after)

    async def more(self, least: int = 1) -> bool:
        """Wait until so much is there to take, or all there will be; False once that is nothing.

        Where events were lost there is no waiting for more than one. A reader that waits for many
        is not woken by each. Cancelling the wait leaves no trace.
        """
        log = self.log
        while (behind := log.count - self.index) < least:
            if log.sealed or (behind and log.holed):
                return bool(behind)
            # No await between this look and the registration, or an append could slip by.
            look = _Look(log, self.index + least)
            log.notify(look)
            try:
                await look.future
            except asyncio.CancelledError:
                log.forget(look)
                raise
        return True

    async def batches(self, least: int = 1) -> AsyncGenerator[list[Event]]:
        """Yield everything there is, then what comes, until the terminal event was yielded.

        Args:
            least: how many events are worth to be woken for, before the last ones.

        Raises:
            LogUnavailable: events were lost, so that what follows is not the whole.
        """
        while await self.more(least):
            if gap := self.gap():
                raise LogUnavailable(
                    f"Events between {gap.after} and {gap.first} of this run were lost. "
                    "Send the request again.",
                    retry_after_ms=1000,
                )
            if batch := self.take():
                yield batch

    def close(self) -> None:
        """Leave the log. Idempotent."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()


class _Look:
    """Looks whenever something has come; a function that asks for itself again is a cycle."""

    __slots__ = ("_enough", "_log", "future")

    def __init__(self, log: EventLog, enough: int) -> None:
        self._log = log
        self._enough = enough
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __call__(self) -> None:
        log = self._log
        if log.count < self._enough and not log.sealed and not log.holed:
            log.notify(self)
        elif not self.future.done():
            self.future.set_result(None)
