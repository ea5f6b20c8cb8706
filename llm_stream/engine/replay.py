"""A recording said again, as a run like any other: at once, or at a pace."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from functools import cached_property
from typing import Final, Literal, cast

import orjson

from llm_stream.engine.chapters import Place
from llm_stream.engine.eventlog import READ_BYTES, EventLog
from llm_stream.engine.interest import NoInterest
from llm_stream.engine.recording import Recording
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Outcome, RunInfo
from llm_stream.engine.subscription import Subscription
from llm_stream.engine.tally import Tally
from llm_stream.events import Event, encoded
from llm_stream.payloads import Payload

Pace = Literal["instant", "recorded"] | float
"""How a replay streams: at once, as it once came, or so many pieces of text a second."""

REPLAY_BYTES: Final = 1500
"""What an instant replay costs beside the recording, which all of its kind share, about."""


class ReplayLog(EventLog):
    """The log of an instant replay: sealed from the beginning, and written anew for each reader.

    So it holds nothing; a plain JSON answer, made of the recording, never needs the events.
    """

    __slots__ = ("_info", "_recording")

    def __init__(self, info: RunInfo, recording: Recording) -> None:
        super().__init__(info.id, max_bytes=0)
        self._recording = recording
        self._info = info
        self.count = recording.events + 2
        self.sealed = self.closed = True

    @property
    def cursor(self) -> str:
        """Cursor of the terminal event."""
        return f"1-{len(self)}"

    @property
    def newest(self) -> Event:
        """The terminal event."""
        return self._event(len(self) - 1)

    @property
    def last(self) -> Place:
        """Place of the terminal event."""
        return Place(1, len(self))

    def slice(self, start: int, *, limit: int, max_bytes: int = READ_BYTES) -> list[Event]:
        """See `EventLog.slice`."""
        found: list[bytes] = []
        size = 0
        # A replay is told hundreds of thousands of events a second: no call that can be spared.
        last = len(self) - 1
        stamps = f'","run":"{self._run}","t_ms":0,'.encode()
        bodies = self._recording.said.bodies
        for index in range(start, min(start + limit, last + 1)):
            event = (
                b'{"id":"1-%d%b%b' % (index + 1, stamps, bodies[index - 1])
                if 0 < index < last
                else self._event(index)
            )
            size += len(event)
            if size > max_bytes and found:
                break
            found.append(event)
        return cast("list[Event]", found)

    def _event(self, index: int) -> Event:
        """The first event, or the last one.

        Only the first differs from replay to replay by more than the run's id: `web/finished`
        keeps all others.
        """
        terminal = cast("Payload", self._recording.fold.terminal)
        payload = terminal if index else self._info.started()
        return encoded(1, index + 1, self._run, 0, payload)


class Replay(Run):
    """An instant replay: a run that had ended when it began, and costs no model call.

    Most of them are one JSON answer and never looked at again, so a replay is made of two
    references; log and figures come when somebody asks for them. It costs REPLAY_BYTES.
    """

    error = None
    task = None
    state = "completed"
    substituted = superseded = False
    # Nothing is left to decide about any of them.
    interest = NoInterest()

    on_read: Callable[["Replay"], object] | None = None
    """Called when somebody reads the events, before that."""

    was_read = False
    """Whether somebody has read them; else they are of no use to anybody elsewhere."""

    def __init__(self, info: RunInfo, recording: Recording) -> None:  # does all of `Run`'s
        self.info = info
        self.recording = recording

    def subscribe(self, after: str = "0") -> Subscription:
        """See `Run.subscribe`."""
        self.was_read = True
        if self.on_read is not None:
            self.on_read(self)
        return super().subscribe(after)

    @cached_property
    def log(self) -> ReplayLog:  # type: ignore[override]
        """The events, written when they are read."""
        return ReplayLog(self.info, self.recording)

    @cached_property
    def tally(self) -> Tally:  # type: ignore[override]
        """What the recording says, in no time."""
        return Tally.of(self.recording.ending, self.recording.said.kinds.count("text.delta"))


async def paced(recording: Recording, pace: Pace) -> AsyncGenerator[Payload | Outcome]:
    """What the recording says, each piece when it is due; then its outcome."""
    began = time.monotonic()
    due = 0.0
    for kind, t_ms, body in zip(*recording.said, strict=True):
        if isinstance(pace, float):
            due += 1 / pace if kind in {"text.delta", "reasoning.delta"} else 0
        else:
            due = t_ms / 1000
        # Behind the clock, pieces follow each other without a pause, but let others work.
        await asyncio.sleep(max(0.0, began + due - time.monotonic()))
        payload: Payload = orjson.loads(b"{" + body)
        yield payload
    yield Outcome(recording.ending["finish_reason"], recording.ending["result"])
