"""A recording said again, as a run like any other: at once, or at a pace."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from functools import cached_property
from typing import Final, Literal, cast

import orjson

from llm_stream.engine.eventlog import EVENT_OVERHEAD_BYTES, EventLog
from llm_stream.engine.interest import Interest
from llm_stream.engine.recording import Recording
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Outcome, RunInfo
from llm_stream.engine.subscription import Subscription
from llm_stream.engine.tally import Tally
from llm_stream.events import Event, Payload

Pace = Literal["instant", "recorded"] | float
"""How a replay streams: at once, as it once came, or so many pieces of text a second."""

REPLAY_BYTES: Final = 1500
"""What an instant replay costs of its own while nobody has read its events, about."""


class ReplayLog(EventLog):
    """The log of an instant replay: sealed from the beginning, written when somebody reads it.

    A plain JSON answer is made of the recording and never needs the events.
    """

    __slots__ = ("_info", "_recording")

    def __init__(self, info: RunInfo, recording: Recording) -> None:
        super().__init__(info.id, max_bytes=0)
        self._recording = recording
        self._info = info
        self.sealed = self.closed = True

    def __len__(self) -> int:
        return len(self._recording.bodies) + 2

    @property
    def bytes(self) -> int:
        """Memory its events take."""
        if not self._events:
            self._write()
        return self._bytes

    @property
    def cursor(self) -> str:
        """Cursor of the terminal event."""
        return f"1-{len(self)}"

    def slice(self, start: int, *, limit: int, max_bytes: int = 65_536) -> list[Event]:
        """See `EventLog.slice`."""
        if not self._events:
            self._write()
        return super().slice(start, limit=limit, max_bytes=max_bytes)

    def _write(self) -> None:
        recording, run = self._recording, self._run
        again = Event.again
        self._events = events = [
            Event(1, 1, run, 0, self._info.started()),
            *[
                again(seq, run, 0, kind, body)
                for seq, (kind, body) in enumerate(
                    zip(recording.kinds, recording.bodies, strict=True), 2
                )
            ],
            Event(1, len(self), run, 0, cast("Payload", recording.fold.terminal)),
        ]
        self._bytes = sum(len(event.data) + EVENT_OVERHEAD_BYTES for event in events)


class Replay(Run):
    """An instant replay: a run that had ended when it began, and costs no model call.

    Most of them are one JSON answer and never looked at again, so a replay is made of two
    references; log and figures come when somebody asks for them.
    """

    error = None
    task = None
    state = "completed"
    substituted = False
    # Nothing is left to decide about any of them.
    interest = Interest.over()

    on_read: Callable[["Replay"], object] | None = None
    """Called when somebody reads the events, before that."""

    def __init__(self, info: RunInfo, recording: Recording) -> None:  # does all of `Run`'s
        self.info = info
        self.recording = recording

    def subscribe(self, after: str = "0") -> Subscription:
        """See `Run.subscribe`."""
        if self.on_read is not None:
            self.on_read(self)
        return super().subscribe(after)

    @cached_property
    def log(self) -> ReplayLog:  # type: ignore[override]
        """The events, written when they are read."""
        return ReplayLog(self.info, self.recording)

    @cached_property
    def _tally(self) -> Tally:  # type: ignore[override]
        return Tally.of(self.recording.ending, self.recording.kinds.count("text.delta"))

    @property
    def size(self) -> int:
        """Bytes it costs at most, once its events have been read."""
        recording = self.recording
        return REPLAY_BYTES + recording.size + EVENT_OVERHEAD_BYTES * len(recording.bodies)


async def paced(recording: Recording, pace: Pace) -> AsyncGenerator[Payload | Outcome]:
    """What the recording says, each piece when it is due; then its outcome."""
    began = time.monotonic()
    due = 0.0
    for kind, t_ms, body in zip(recording.kinds, recording.times, recording.bodies, strict=True):
        if isinstance(pace, float):
            due += 1 / pace if kind in {"text.delta", "reasoning.delta"} else 0
        else:
            due = t_ms / 1000
        # Behind the clock, pieces follow each other without a pause, but let others work.
        await asyncio.sleep(max(0.0, began + due - time.monotonic()))
        payload: Payload = orjson.loads(b"{" + body)
        yield payload
    yield Outcome(recording.ending["finish_reason"], recording.ending["result"])
