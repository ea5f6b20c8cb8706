"""Pieces of an answer that belong together as one event of `llm`'s.

`llm` makes three calls, an object with a dict and two places in lists of every piece, for a few
letters. So a wire says what has come at once in one event, which knows the pieces; and what came
one by one is joined afterwards, 32 events at a time. What llm makes of a response in the end is
the same: it joins the words of a part, and the arguments of a call, itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple, cast

import llm
from llm.parts import StreamEvent

JOIN_EVENTS: Final = 32
"""How many events come before they are joined."""


class Part(NamedTuple):
    """What pieces are pieces of: the fields of `llm`'s events that they have in common."""

    type: str
    part_index: int | None = None
    message_index: int = 0
    tool_call_id: str | None = None

    def event(self, chunk: str) -> StreamEvent:
        """An event that says so much of it."""
        return StreamEvent(chunk=chunk, **self._asdict())


TEXT: Final = Part("text")

_JOINED: Final = frozenset({"text", "reasoning", "tool_call_args"})


class Bundle(StreamEvent):
    """Pieces of one part that came at once: `chunk` is all of them, `take` gives each."""

    def __init__(self, part: Part, pieces: Sequence[str]) -> None:
        super().__init__(chunk="".join(pieces), **part._asdict())
        self._pieces = pieces

    def take(self) -> Sequence[str]:
        """The pieces as they came, none of them empty; once, for llm keeps the event."""
        pieces, self._pieces = self._pieces, ()
        return pieces


def bundled(said: Sequence[StreamEvent | str]) -> Iterable[StreamEvent]:
    """Events of what has come at once, in its order; a `str` is a piece of text."""
    if len(said) == 1 and isinstance(said[0], str):
        return (StreamEvent("text", said[0]),) if said[0] else ()
    if set(map(type, said)) == {str}:  # as nearly always
        pieces = cast("list[str]", [words for words in said if words])
        return (Bundle(TEXT, pieces),) if pieces else ()
    return _bundles(said)


def _bundles(said: Sequence[StreamEvent | str]) -> Iterator[StreamEvent]:
    for part, group in groupby(said, _part):
        if part is None:
            yield from cast("Iterator[StreamEvent]", group)
        else:
            together = [*group]
            pieces = [words for each in together if (words := _words(each))]
            # An event without a word still parts the calls of tools before and behind it.
            if pieces or not all(isinstance(each, str) for each in together):
                yield Bundle(part, pieces)


def join_events(response: llm.AsyncResponse, start: int) -> int:
    """Join pieces of one part, in llm's own lists.

    To be called between two events. Where llm keeps its events in another way than 0.36 does,
    nothing is done.

    Args:
        response: one that is being read.
        start: index of the first event that was not looked at before; 0 at first.

    Returns:
        The index to give the next time.
    """
    events = cast("list[StreamEvent] | None", getattr(response, "_stream_events", None))
    chunks = cast("list[str] | None", getattr(response, "_chunks", None))
    if events is None or chunks is None:
        return 0
    found = events[start:]
    events[start:] = [*_joined(found)]
    said = sum([event.type == "text" for event in found])
    if said and all(isinstance(each, str) for each in chunks[-said:]):
        text = "".join(chunks[-said:])
        # The same text, nearly always: kept once.
        chunks[-said:] = [events[-1].chunk if events[-1].chunk == text else text]
    return len(events)


def _joined(events: list[StreamEvent]) -> Iterator[StreamEvent]:
    if events and (whole := _part(events[0])) is not None and _are_of(whole, events):
        yield whole.event("".join([event.chunk for event in events]))
        return
    for part, group in groupby(events, _part):
        if part is None:
            yield from group
        else:
            yield part.event("".join([event.chunk for event in group]))


def _part(said: StreamEvent | str) -> Part | None:
    """What it is a piece of; None where it has more to say than that, or what is no text."""
    if isinstance(said, str):
        return TEXT
    if (
        said.type not in _JOINED
        or not isinstance(said.chunk, str)  # a plugin's model may say anything
        or said.provider_metadata
        or said.redacted
        or said.server_executed
        or said.tool_name is not None
    ):
        return None
    return Part(said.type, said.part_index, said.message_index, said.tool_call_id)


def _are_of(part: Part, events: list[StreamEvent]) -> bool:
    """Whether `_part` would say so of all of them, as of nearly every answer's, without calls."""
    kind, index, message, call = part
    for event in events:
        if (
            event.type != kind
            or event.part_index != index
            or event.message_index != message
            or event.tool_call_id != call
            or type(event.chunk) is not str
            or event.provider_metadata
            or event.redacted
            or event.server_executed
            or event.tool_name is not None
        ):
            return False
    return True


def _words(said: StreamEvent | str) -> str:
    return said if isinstance(said, str) else said.chunk
