"""Makes few of the many events that `llm` keeps of an answer until it has ended.

Each is an object with a dict, a string and places in two lists, for a few letters: half of what a
token costs in memory, and something that the garbage collector looks at again and again.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final, cast

import llm
from llm.parts import StreamEvent

JOIN_EVENTS: Final = 64
"""How many events come before they are looked at."""

_WORDS: Final = frozenset({"text", "reasoning"})


def join_events(response: llm.AsyncResponse, start: int) -> int:
    """Put words that belong to one part of the answer into one event, in llm's own lists.

    What `llm` makes of the response in the end is the same: it joins them itself. To be called
    between two events. Where llm keeps its events in another way than 0.36 does, nothing is done.

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
    events[start:] = _joined(found)
    if said := sum([event.type == "text" for event in found]):
        chunks[-said:] = ["".join(chunks[-said:])]
    return len(events)


def _joined(events: list[StreamEvent]) -> Iterator[StreamEvent]:
    for part, group in groupby(events, _part):
        if part is None:
            yield from group
        else:
            kind, index, message = part
            said = "".join([event.chunk for event in group])
            yield StreamEvent(kind, said, part_index=index, message_index=message)


def _part(event: StreamEvent) -> tuple[str, int | None, int] | None:
    """What an event's words are a piece of; None where it has more to say than words."""
    if event.type not in _WORDS or event.provider_metadata or event.redacted:
        return None
    return event.type, event.part_index, event.message_index
