"""The append-only log of one run, and the cursor a reader keeps in it.

One task writes, any number of readers pull; neither knows the other. The log is
the queue: a reader costs one index, however slow it is. Nothing here awaits a
socket, and nothing here is safe to call from another thread.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from llm_stream.engine.chapters import NOWHERE, Chapters, Place, parse_cursor, place_of
from llm_stream.engine.eventstore import BLOCK, EVENT_OVERHEAD_BYTES, EventStore
from llm_stream.errors import InvalidCursor, OutputTooLarge
from llm_stream.events import Event, encoded, is_terminal, position_of, t_ms_of
from llm_stream.payloads import TERMINAL_TYPES, Payload

READ_BYTES: Final = 65_536
"""Most bytes that one `take` hands out, so that a slow reader pins no more than that."""

REST_MS: Final = 200
"""Blocks are packed once in so long at most: what comes faster is about to be read."""


class Gap(NamedTuple):
    """Lost events: the cursor before them, and that of the first one behind them."""

    after: str
    first: str


class LogSealed(RuntimeError):
    """Something was appended after the terminal event: a bug in the writer."""


class EventLog:
    """Events of one run in order, sealed by exactly one terminal event.

    Args:
        run: id of the run, part of every event.
        max_bytes: bound of the whole log (data and overhead), the terminal event excepted.
        epoch: first half of every cursor appended here; over 1 in a run that was taken over.
        earlier: events of lower epochs that the log begins with.
        clock: monotonic seconds; `t_ms` counts from the moment of construction.

    Attributes:
        count: how many events there are.
        holed: whether events were lost.
    """

    __slots__ = ("_bytes", "_chapters", "_clock", "_earlier", "_epoch", "_max_bytes",
                 "_packed_ms", "_run", "_store", "_waiting", "born", "closed", "count", "holed",
                 "newest_ms", "sealed")  # fmt: skip

    def __init__(
        self,
        run: str,
        *,
        max_bytes: int,
        epoch: int = 1,
        earlier: Sequence[Event] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._max_bytes = max_bytes
        self._epoch = epoch
        self._earlier = len(earlier)
        self._clock = clock
        self._store = EventStore()
        self._bytes = self._packed_ms = self.count = 0
        self._waiting: list[Callable[[], None]] = []
        self._chapters = Chapters(None if earlier else Place(epoch, 1))
        self.born = clock()
        self.newest_ms = 0
        self.sealed = self.closed = self.holed = False
        if earlier:
            self.extend(earlier)
            of_this_epoch = sum(place_of(event).epoch == epoch for event in earlier)
            self._earlier -= of_this_epoch
            self.born -= t_ms_of(earlier[-1]) / 1000
            if not of_this_epoch:
                self._chapters.begin(Place(epoch, 1), len(earlier), hole=False)

    def __len__(self) -> int:
        return self.count

    @property
    def bytes(self) -> int:
        """Approximate memory the log holds."""
        return self._bytes - self._store.spared

    @property
    def packed(self) -> bool:
        """Whether older events are packed: who keeps them had better read them here."""
        return self._store.packed > 0

    @property
    def cursor(self) -> str:
        """Cursor of the newest event, "0" while there is none."""
        return position_of(self.newest) if self.count else "0"

    @property
    def newest(self) -> Event:
        """The newest event; there has to be one."""
        return self._store.recent[-1]

    @property
    def last(self) -> Place:
        """Place of the newest event."""
        return place_of(self.newest) if self.count else NOWHERE

    def append(self, payload: Payload) -> Event:
        """Give one payload its place; see `append_all`."""
        self.append_all((payload,))
        return self.newest

    def append_all(self, payloads: Sequence[Payload]) -> None:
        """Give the payloads their places at this moment, encode each once and wake the readers.

        Those before the one that is refused are in the log.

        Raises:
            OutputTooLarge: the log is full (a terminal event always fits).
            LogSealed: a terminal event is already there.
        """
        self.newest_ms = t_ms = int((self._clock() - self.born) * 1000)
        store = self._store
        before = self.count
        if before - store.packed > BLOCK and t_ms - self._packed_ms >= REST_MS and not self.closed:
            store.pack()
            self._packed_ms = t_ms
        events = store.recent
        seq = before - self._earlier
        try:
            for payload in payloads:
                if self.closed:
                    raise LogSealed(f"{self._run} has ended; {payload['type']} came after it")
                seq += 1
                event = encoded(self._epoch, seq, self._run, t_ms, payload)
                size = self._bytes + len(event) + EVENT_OVERHEAD_BYTES
                if payload["type"] in TERMINAL_TYPES:
                    self.sealed = self.closed = True
                elif size > self._max_bytes:
                    raise OutputTooLarge(
                        f"The run produced more than {self._max_bytes} bytes of events. "
                        "Ask for a shorter answer (max_tokens) or raise runs.max_log_bytes.",
                        run=self._run,
                    )
                self._bytes = size
                events.append(event)
        finally:
            self.count = store.packed + len(events)
            if self._waiting and self.count > before:
                self._wake()

    def extend(self, events: Sequence[Event]) -> None:
        """Take in what another replica's log has behind this one's last event.

        A hole in the places is remembered; what is not behind the last event is left out. The
        bound does not hold: the log was bounded where it was written.
        """
        if self.count - self._store.packed > BLOCK and not self.sealed:  # then threads read it
            self._store.pack(BLOCK)  # a page is as much
        for event in events:
            place, last = place_of(event), self.last
            if self.sealed or place <= last:
                continue
            if place != Place(last.epoch, last.seq + 1):
                # An owner's last events may be lost with it; the first of the next tells that.
                whole = (place.seq == 1 and last.epoch > 0) or place == Place(1, 1)
                self._chapters.begin(place, self.count, hole=not whole)
                self.holed |= not whole
            self._store.recent.append(event)
            self.count += 1
            self._bytes += len(event) + EVENT_OVERHEAD_BYTES
            self.sealed = is_terminal(event)
            self.closed |= self.sealed
        if self._waiting:
            self._wake()

    def close(self) -> None:
        """Take no more from the writer here; what comes is for `extend`."""
        self.closed = True

    def _wake(self) -> None:
        # Each callback fires once; a reader that is behind is not registered. So many appends
        # in one turn of the loop cost one wake-up a reader.
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()

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
        place = parse_cursor(after)
        index = self._chapters.index_behind(place, len(self)) if place else None
        if index is not None:
            return index
        raise InvalidCursor(
            "The cursor was never issued for this run. Use the id of an event you received, "
            '"0" for the start or "now" for new events only.',
            field="after",
            run=self._run,
        )

    def slice(self, start: int, *, limit: int, max_bytes: int = READ_BYTES) -> list[Event]:
        """Up to `limit` events from index `start`, at least one if there is any.

        Stops before the event that would exceed `max_bytes` of data, and before a hole.
        """
        if start + 1 == self.count and limit:
            return self._store.recent[-1:]  # what has just come, as nearly always
        stop = start + limit
        if self._chapters.holes:
            stop = min(stop, self._chapters.next_hole(start) or stop)
        return self._store.between(start, stop, max_bytes=max_bytes)

    def everything(self) -> list[Event]:
        """Every event there is; across holes, where there are any."""
        if self.holed:
            return self._store.between(0, self.count, max_bytes=sys.maxsize)
        return self.slice(0, limit=self.count, max_bytes=sys.maxsize)

    def gap_at(self, index: int, after: str = "0") -> Gap | None:
        """What a reader behind the cursor `after`, who goes on at `index`, has missed."""
        if index not in self._chapters.holes:
            return None
        known = parse_cursor(after) or NOWHERE
        first = place_of(self._store.between(index, index + 1, max_bytes=0)[0])
        return Gap(after, str(first)) if known != Place(first.epoch, first.seq - 1) else None

    def notify(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, at the next append. It must not raise or append."""
        self._waiting.append(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """Take a callback back; harmless if it has fired or was never there."""
        if callback in self._waiting:
            self._waiting.remove(callback)
