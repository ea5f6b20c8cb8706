"""A recording said again, as a run like any other: at once, or at a pace."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Final, Literal

import orjson

from llm_stream.engine.eventlog import EVENT_OVERHEAD_BYTES, EventLog
from llm_stream.engine.recording import Recording
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, Outcome, RunInfo
from llm_stream.engine.tally import Tally
from llm_stream.events import Event, Payload

Pace = Literal["instant", "recorded"] | float
"""How a replay streams: at once, as it once came, or so many pieces of text a second."""

_AT_ONCE: Final = {"queued_ms": 0, "first_token_ms": 0, "total_ms": 0}
_REPLAY_BYTES: Final = 3000
"""What an instant replay costs of its own while nobody has read its events, about."""


class ReplayLog(EventLog):
    """The log of an instant replay: sealed from the beginning, written when somebody reads it.

    A plain JSON answer is made of the recording and never needs the events.
    """

    __slots__ = ("_recording", "_started")

    def __init__(self, run: str, recording: Recording, started: Event) -> None:
        super().__init__(run, max_bytes=0)
        self._recording = recording
        self._started = started
        self.sealed = self.closed = True

    def __len__(self) -> int:
        return len(self._recording.bodies) + 2

    @property
    def bytes(self) -> int:
        """Its own memory at most, whether or not it has been written."""
        return _REPLAY_BYTES + self._recording.size + EVENT_OVERHEAD_BYTES * len(self)

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
        self._events = [
            self._started,
            *[
                again(seq, run, 0, kind, body)
                for seq, (kind, body) in enumerate(
                    zip(recording.kinds, recording.bodies, strict=True), 2
                )
            ],
            Event(1, len(self), run, 0, ending(recording)),
        ]


class Replay(Run):
    """An instant replay: a run that had ended when it began, and costs no model call."""

    def __init__(self, info: RunInfo, recording: Recording, client: Client) -> None:
        super().__init__(info, max_log_bytes=1 << 16, describe_error=_never, client=client)
        (started,) = self.log.slice(0, limit=1)
        self.log = ReplayLog(info.id, recording, started)
        self.recording = recording
        self.state = "completed"
        self.interest.close()
        self._tally = Tally.of(recording.ending, recording.kinds.count("text.delta"))


def ending(recording: Recording) -> Any:
    """The terminal payload of an instant replay."""
    return {**recording.ending, "timings": _AT_ONCE}


def _never(*_: object, **__: object) -> dict[str, Any]:
    raise AssertionError("a replay does not fail")


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
