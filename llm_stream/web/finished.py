"""Instant replays as whole event streams, most of which is the same for all of one recording."""

import sys
from collections import OrderedDict
from typing import Final

from llm_stream.engine.recording import Recording
from llm_stream.engine.replay import Replay, ReplayLog
from llm_stream.engine.runinfo import RunInfo
from llm_stream.web import sse

MAX_STREAM_BYTES: Final = 262_144
"""Of a recording (`Recording.size`); longer streams are written as their reader takes them."""

MAX_BYTES: Final = 16_777_216
"""Of what is remembered of all recordings."""

PIECE_BYTES: Final = 33
"""What a piece costs beside its text, about."""

_MARK: Final = "\0"
"""Stands where the id of a run is to be; a line of JSON has no such byte."""


class FinishedStreams:
    """Writes the events of a replay at once: only its id is put in, between pieces that are known.

    The least recently used recordings are forgotten first.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[bytes, ...]] = OrderedDict()
        self._bytes = 0

    def stream(self, replay: Replay) -> bytes:
        """All events of a replay in the framing of SSE; meant for those of MAX_STREAM_BYTES."""
        recording, log = replay.recording, replay.log
        pieces = self._known.get(recording.run)
        if pieces is None:
            pieces = _pieces(recording)
            self._remember(recording.run, pieces)
        else:
            self._known.move_to_end(recording.run)
        return sse.frames(log.slice(0, limit=1)) + replay.id.encode().join(pieces)

    def _remember(self, run: str, pieces: tuple[bytes, ...]) -> None:
        self._known[run] = pieces
        self._bytes += _size(pieces)
        while self._bytes > MAX_BYTES:
            _, gone = self._known.popitem(last=False)
            self._bytes -= _size(gone)


def _pieces(recording: Recording) -> tuple[bytes, ...]:
    """All events but the first one, cut where the id of the run stands."""
    log = ReplayLog(RunInfo(_MARK, recording.recipe, recording.model, recording.key), recording)
    events = log.slice(1, limit=len(log), max_bytes=sys.maxsize)
    return tuple(sse.frames(events).split(_MARK.encode()))


def _size(pieces: tuple[bytes, ...]) -> int:
    return sum(map(len, pieces)) + PIECE_BYTES * len(pieces)
