"""The events of one run in order, each once, read on behind the last one after every loss."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from uuid import uuid4

from llm_stream.client.patience import Patience
from llm_stream.client.problems import EventsLost, Unreachable, may_succeed
from llm_stream.client.wire import Beat, End, Feed, Frame, Gap, GoAway, Opened, Told, Wire
from llm_stream.errors import StreamError
from llm_stream.payloads import TERMINAL_TYPES

Open = Callable[[str], Awaitable[Feed | None]]
"""Opens a run; the key names the start, so that it can be sent again."""


class Reader:
    """One reader of one run.

    Args:
        wire: where it is read, and read on after a loss.
        opening: opens it the first time.
        patience: how long failing attempts to read on are made again.
        starting: the same for opening it; without it `patience`.
        key: names the start; None: one that nobody else has.
        after: the cursor it is read behind.
        owned: whether it was started here.

    Attributes:
        run: the run's id, "" before it is open.
        cache: how the cache took part, "" before that is known.
        cursor: of the last event that was read.
        resumed: how often it was read on after a loss.
        whole: whether it is read from its beginning.
        over: whether nothing follows.
        left: whether it was closed.
    """

    def __init__(  # noqa: PLR0913 - how one run is opened and read
        self,
        wire: Wire,
        opening: Open,
        patience: Patience,
        *,
        starting: Patience | None = None,
        key: str | None = None,
        after: str,
        owned: bool,
    ) -> None:
        self.run = ""
        self.cache = ""
        self.cursor = after
        self.resumed = 0
        self.whole = after == "0"
        self.over = self.left = False
        self._wire = wire
        self._opening = opening
        self._patience = patience
        self._starting = patience if starting is None else starting
        self._key = key
        self._after = after
        self._owned = owned
        self._started: Opened | None = None
        self._feed: Feed | None = None
        self._frames: AsyncIterator[Frame] | None = None
        self._away_ms: int | None = None

    @property
    def open(self) -> bool:
        """Whether there is something to read from."""
        return self._frames is not None

    async def begin(self) -> None:
        """Open the run.

        Raises:
            StreamError: the service refuses, by its code; or `Unreachable`.
        """
        key = self._key or uuid4().hex
        while True:
            try:
                await self._open(self._opening, key)
            except StreamError as error:
                if not may_succeed(error):
                    raise
                if error.problem is not None and self._key is None:
                    key = uuid4().hex  # what was refused by this one would be refused again
                await self._starting.wait(error)
            else:
                self._started = None if self._feed is None else self._feed.opened
                return

    async def close(self) -> None:
        """Leave; a run that was started here and has not ended is cancelled. Never raises."""
        self.left = True
        feed, self._feed, self._frames = self._feed, None, None
        started, self._started = self._started, None
        try:
            if self._owned and started is not None:
                with suppress(StreamError):  # then it is found abandoned
                    await self._wire.leave(started, ended=self.over)
        finally:
            if feed is not None:
                await feed.close()

    async def next(self) -> Told | None:
        """The next event; None when nothing follows.

        Raises:
            StreamError: see `Stream.events`.
        """
        while not self.over:
            if self._frames is None:
                raise RuntimeError("Read a stream inside `async with`.")
            try:
                told = self._taken(await anext(self._frames, None))
            except Unreachable as error:
                await self._read_on(error)
            else:
                if told is not None:
                    return told
        return None

    async def _open(self, opening: Open, key: str = "") -> None:
        feed = await opening(key)
        if feed is None:
            self._end()
            return
        self._feed, self._frames = feed, feed.frames()
        self.run = self.run or feed.opened.run
        self.cache = self.cache or feed.opened.cache

    def _taken(self, frame: Frame | None) -> Told | None:
        """The event in a frame that is the next one; None for what is none, or was there before."""
        if frame is None:
            raise Unreachable("The connection ended before the answer did.", run=self.run)
        if isinstance(frame, Beat):
            self._patience.progressed()
            return None
        if isinstance(frame, GoAway):
            self._away_ms = frame.reconnect_after_ms
            return None
        if isinstance(frame, End):
            self._end()
            return None
        if isinstance(frame, Gap):
            lost = EventsLost(
                f"What was between {frame.after} and {frame.first} is lost.", run=self.run
            )
            lost.after, lost.first = frame
            raise lost
        place, last = _place(frame["id"]), _place(self.cursor)
        if last is not None and place is not None:
            if place <= last:
                return None
            if place[0] == last[0] and place[1] > last[1] + 1:
                raise Unreachable("An event is missing in the middle.", run=self.run)
        self.cursor = frame["id"]
        self._patience.progressed()
        self.over = frame["type"] in TERMINAL_TYPES
        return frame

    def _end(self) -> None:
        """The service says that nothing follows; true if the reader began behind the end."""
        self.over = True
        if self.cursor != self._after or self.whole:
            raise EventsLost("The run has ended, and its end did not arrive.", run=self.run)

    async def _read_on(self, error: StreamError) -> None:
        """Open the run again, behind what was read."""
        if self._away_ms is not None:
            error.retry_after_ms, self._away_ms = self._away_ms, None
        feed, self._feed, self._frames = self._feed, None, None
        if feed is not None:
            await feed.close()
        while True:
            await self._patience.wait(error)
            try:
                await self._open(lambda _key: self._wire.follow(self.run, self.cursor))
            except StreamError as again:
                if not may_succeed(again):
                    raise
                error = again
            else:
                self.resumed += 1
                return


def _place(cursor: str) -> tuple[int, int] | None:
    """Epoch and number of a cursor; None of `now`, and before the first event."""
    epoch, _, seq = cursor.partition("-")
    return (int(epoch), int(seq)) if seq else None
