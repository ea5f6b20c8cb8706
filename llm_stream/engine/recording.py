"""What a completed run said, kept so that it can be said again: by a cache, by a history.

A recording holds the run's last, valid output: what a restart took back is not in it.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Final, NamedTuple, Self, cast

import orjson
from pydantic import Field, TypeAdapter

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.fold import Fold
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import RunInfo
from llm_stream.errors import InternalError
from llm_stream.events import apart, payload_of
from llm_stream.payloads import (
    Ending,
    ItemCompleted,
    ReasoningDelta,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
    Usage,
)

FORMAT: Final = 1
"""Of the encoded form; another one is not read."""

NO_TIME: Final = {"queued_ms": 0, "first_token_ms": 0, "total_ms": 0}
"""Timings of an answer that was there."""

DECODED: Final = 8
"""How much more memory decoded JSON takes than its bytes, about."""

_ITEMS: Final = frozenset({"item.completed", "tool.called"})

_KEPT: Final = frozenset(
    {"text.delta", "reasoning.delta", "tool.called", "tool.returned", "step.started",
     "step.completed", "item.completed", "usage"}
)  # fmt: skip


class InvalidRecording(ValueError):
    """Bytes that are no recording: corrupt, of another format, or not ours."""


class Said(NamedTuple):
    """Of each event that is kept its type, its milliseconds, its payload (see `parts_of`)."""

    kinds: tuple[str, ...] = ()
    times: tuple[int, ...] = ()
    bodies: tuple[bytes, ...] = ()


NOTHING: Final = Said()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One completed answer.

    Attributes:
        key: the fingerprint of the request.
        recipe, model, template, owner, tags, structured, title: as of the run (`RunInfo`).
        run: id of the run that was recorded.
        created_at: when it ended, seconds since 1970.
        total_ms: how long it took.
        told: what is kept of its events, or what reads that out of the run's log; see `said`.
        ending: the terminal payload, `timings` excepted.
        events: how many events are kept.
        size: bytes it holds once it has been read, about.
    """

    key: str
    recipe: str
    model: str
    run: str
    ending: dict[str, Any]
    told: Said | Callable[[], Said] = NOTHING
    template: str | None = None
    owner: str = ""
    title: str = ""
    tags: tuple[str, ...] = ()
    structured: bool = False
    total_ms: int = 0
    created_at: float = field(default_factory=time.time)
    events: int = field(default=0, init=False)
    size: int = field(default=0, init=False, repr=False, compare=False)
    _derived: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        said = self.said
        size = 1000 + sum(map(len, said.bodies)) + 150 * len(said.bodies)
        # Decoded JSON takes several times its bytes: the result, and the items of the fold.
        items = 0
        if not _ITEMS.isdisjoint(said.kinds):
            pairs = zip(said.kinds, said.bodies, strict=False)
            items = sum(len(body) for kind, body in pairs if kind in _ITEMS)
        if self.ending.get("result") is not None:
            items += len(orjson.dumps(self.ending["result"]))
        size += DECODED * items
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "events", len(said.bodies))

    @classmethod
    def of(cls, run: Run, *, lazily: bool = False) -> Self:
        """Record a run that has completed; lazily, for who may never look at what it said.

        Then what its log has packed is not kept a second time, but read there when asked for.
        """
        said, ending = _read(run.log, run.id)
        made = cls.made(run.info, ending, said)
        # A log also has what a restart took back, and what was too fast or too long to be packed.
        if lazily and run.log.packed and run.log.bytes < made.size // 3:
            object.__setattr__(made, "told", lambda log=run.log, run=run.id: _read(log, run)[0])
        return made

    @classmethod
    def made(cls, info: RunInfo, ending: dict[str, Any], said: Said) -> Self:
        """Of what is kept of a run, and its terminal payload, which is this one's from now on."""
        total_ms = ending.pop("timings")["total_ms"]
        return cls(
            key=info.key,
            recipe=info.recipe,
            model=info.model,
            run=info.id,
            ending=ending | {"attempts": 1},
            told=said,
            template=info.template,
            owner=info.owner,
            title=info.title,
            tags=info.tags,
            structured=info.structured,
            total_ms=total_ms,
        )

    @property
    def said(self) -> Said:
        """What is kept of the run's events; read once, and then the log is not held any more."""
        told = self.told
        if not isinstance(told, Said):
            object.__setattr__(self, "told", told := told())
        return told

    @property
    def fold(self) -> Fold:
        """All of it folded, as a plain answer is made of it; computed once, to be read only."""
        return cast("Fold", self.derived("fold", _folded))

    def derived(self, name: str, make: Callable[["Recording"], Any]) -> Any:
        """What follows from this recording alone, made by the first who asks for that name."""
        try:
            return self._derived[name]
        except KeyError:
            made = self._derived[name] = make(self)
            return made

    def encode(self) -> bytes:
        """One line of facts, then one a payload; read by `decode`."""
        facts = {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.init and item.name != "told"
        }
        head = orjson.dumps({"format": FORMAT, **facts, "times": self.said.times})
        return b"\n".join([head, *(b"{" + body for body in self.said.bodies)])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The recording in these bytes, checked like any input.

        Raises:
            InvalidRecording: they are anything else.
        """
        head, *lines = data.split(b"\n")
        try:
            facts = orjson.loads(head)
            if facts.pop("format") != FORMAT:
                raise InvalidRecording("another format")
            if not all(line.startswith(b'{"type":') for line in lines):
                raise InvalidRecording("a payload that does not begin with its type")
            payloads = [orjson.loads(line) for line in lines]
            said = Said(
                tuple(payload["type"] for payload in payloads),
                tuple(facts.pop("times")),
                tuple(line[1:] for line in lines),
            )
            made = cls(**facts | {"tags": tuple(facts["tags"])}, told=said)
            _check(made, payloads)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise InvalidRecording(f"not a recording: {error}") from error
        return made


def _read(log: EventLog, run: str) -> tuple[Said, dict[str, Any]]:
    """What is kept of the events of a run that has completed, and its terminal payload."""
    events = log.everything()
    kinds, times, bodies = apart(events)
    if not kinds or kinds[-1] != "run.completed":
        raise InternalError("Only a completed run can be recorded.", run=run)
    start = max([place for place, kind in enumerate(kinds) if kind == "run.restarted"] or [0])
    # Tokens are spent whatever became of the output.
    kept = [
        place
        for place, kind in enumerate(kinds)
        if kind in _KEPT and (place > start or kind == "usage")
    ]
    said = Said(
        tuple([kinds[place] for place in kept]),
        tuple([times[place] for place in kept]),
        tuple([bodies[place] for place in kept]),
    )
    return said, dict(payload_of(events[-1]))


def _folded(recording: Recording) -> Fold:
    fold = Fold()
    for kind, body in zip(recording.said.kinds, recording.said.bodies, strict=True):
        fold.add_payload(kind, orjson.loads(b"{" + body))
    fold.add_payload(recording.ending["type"], {**recording.ending, "timings": NO_TIME})
    return fold


_KeptPayload = Annotated[
    TextDelta | ReasoningDelta | ToolCalled | ToolReturned | StepStarted | StepCompleted
    | ItemCompleted | Usage,
    Field(discriminator="type"),
]  # fmt: skip
_ENDING: Final = TypeAdapter(Ending)
_PAYLOADS: Final = TypeAdapter(list[_KeptPayload])


def _check(recording: Recording, payloads: list[dict[str, Any]]) -> None:
    _ENDING.validate_python(recording.ending)
    _PAYLOADS.validate_python(payloads)
    digest = hashlib.sha256()
    for payload in payloads:
        if payload["type"] == "text.delta" and "step" not in payload:
            digest.update(payload["text"].encode())
    if digest.hexdigest() != recording.ending["text_sha256"]:
        raise InvalidRecording("the text is not the one that was recorded")
    if len(recording.said.times) != len(recording.said.bodies):
        raise InvalidRecording("times are missing")
