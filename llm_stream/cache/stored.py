"""One entry of the cache, and its bytes."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import orjson

from llm_stream.cache.backend import BaseSerializer
from llm_stream.engine.recording import InvalidRecording, Recording

FORMAT: Final = 1

UNDERSTOOD_BYTES: Final = 33_554_432
"""Bytes that were checked and are remembered with what they are; about three times as much
memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An answer that can be given again.

    Attributes:
        recording: what was said.
        request: the spec as JSON, to compute the answer anew.
        marks: {name: generation} of everything it can be invalidated by, as of the moment the
            answer was asked for.
        fresh_seconds: how long after `stored_at` it is fresh.
        stored_at: seconds since 1970, by the clock of who stored it; to be shown.
        born: monotonic seconds of this process when it was stored; ages count from it, so that a
            clock that jumps makes nothing older.
    """

    recording: Recording
    request: bytes
    marks: Mapping[str, int]
    fresh_seconds: float
    stored_at: float = field(default_factory=time.time)
    born: float = field(default_factory=time.monotonic, compare=False)

    @property
    def age_seconds(self) -> float:
        """How long ago it was stored."""
        return time.monotonic() - self.born

    @property
    def about(self) -> dict[str, Any]:
        """What a list says of it, as JSON has it."""
        recording = self.recording
        return {
            "key": recording.key,
            "run": recording.run,
            "recipe": recording.recipe,
            "model": recording.model,
            "template": recording.template,
            "title": recording.title,
            "tags": [name.partition("/tag:")[2] for name in self.marks if "/tag:" in name],
            "stored_at": self.stored_at,
            "fresh_seconds": self.fresh_seconds,
            "bytes": self.size,
            "events": recording.events,
            "usage": recording.ending["usage"],
            "saves_ms": recording.total_ms,
        }

    @property
    def size(self) -> int:
        """Bytes it holds when it has been given again, about; before that it may be a tenth."""
        return self.recording.size + len(self.request) + 100 * len(self.marks) + 500

    def encode(self) -> bytes:
        """Three parts in lines: facts, request, recording; read by `decode`."""
        facts = {
            "format": FORMAT,
            "marks": dict(self.marks),
            "fresh_seconds": self.fresh_seconds,
            "stored_at": self.stored_at,
            "about": self.about,
        }
        return b"\n".join([orjson.dumps(facts), self.request, self.recording.encode()])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The entry in these bytes, checked like any input.

        Raises:
            InvalidRecording: they are anything else.
        """
        try:
            head, request, recording = data.split(b"\n", 2)
            facts = orjson.loads(head)
            if facts["format"] != FORMAT:
                raise InvalidRecording("another format")
            stored_at = float(facts["stored_at"])
            return cls(
                recording=Recording.decode(recording),
                request=request,
                marks={str(name): int(mark) for name, mark in facts["marks"].items()},
                fresh_seconds=float(facts["fresh_seconds"]),
                stored_at=stored_at,
                born=time.monotonic() - max(0.0, time.time() - stored_at),
            )
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise InvalidRecording(f"not an entry: {error}") from error


def about_of(head: bytes) -> dict[str, Any]:
    """What a list says of an entry, out of its first line; {} if the bytes are not an entry's."""
    try:
        about = orjson.loads(head.partition(b"\n")[0])["about"]
    except (ValueError, KeyError, TypeError):
        return {}
    return about if isinstance(about, dict) else {}


class StoredSerializer(BaseSerializer):  # type: ignore[misc]
    """For aiocache: entries as bytes, and the whole numbers that generations are. No pickle.

    The very bytes that were checked once are not checked again.
    """

    DEFAULT_ENCODING = None

    def __init__(self) -> None:
        super().__init__()
        self._understood: OrderedDict[bytes, Stored] = OrderedDict()
        self._bytes = 0

    def dumps(self, value: Stored | int) -> bytes | int:
        """What Redis keeps."""
        return value.encode() if isinstance(value, Stored) else value

    def loads(self, value: bytes | None) -> Any:
        """What it gives back: an entry, a number, None; bytes that are neither are None."""
        if value is None:
            return None
        if value.isdigit():
            return int(value) if len(value) < 19 else None
        known = self._understood.get(value)
        if known is not None:
            self._understood.move_to_end(value)
            return known
        try:
            entry = Stored.decode(value)
        except InvalidRecording:
            return None
        self._remember(value, entry)
        return entry

    def _remember(self, value: bytes, entry: Stored) -> None:
        self._understood[value] = entry
        self._bytes += len(value)
        while self._bytes > UNDERSTOOD_BYTES:
            gone, _ = self._understood.popitem(last=False)
            self._bytes -= len(gone)
