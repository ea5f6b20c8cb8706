"""Where a cursor stands in a log whose epoch may rise and which may have lost events.

A chapter is a stretch of events without a hole. A log in memory has one; a new one begins where
another replica took the run over, and behind events that were lost.
"""

import re
from bisect import bisect_right
from typing import Final, NamedTuple

from llm_stream.events import Event, cursor_of

_CURSOR: Final = re.compile(r"([1-9]\d{0,9})-([1-9]\d{0,9})", re.ASCII)


class Place(NamedTuple):
    """A cursor as numbers; places compare as their events follow each other."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"


NOWHERE: Final = Place(0, 0)
"""The place before every event."""


def parse_cursor(cursor: str) -> Place | None:
    """The place of a cursor `epoch-seq`, None if it is none."""
    match = _CURSOR.fullmatch(cursor)
    return Place(int(match[1]), int(match[2])) if match else None


def place_of(event: Event) -> Place:
    """Where an event stands."""
    epoch, _, seq = cursor_of(event).partition(b"-")
    return Place(int(epoch), int(seq))


class Chapters:
    """The beginnings of all chapters of one log, in order.

    Args:
        first: place of the log's first event; None while it is not known.

    Attributes:
        holes: indices of the events right behind lost ones.
    """

    __slots__ = ("_indices", "_places", "holes")

    def __init__(self, first: Place | None) -> None:
        self._places: list[Place] = [] if first is None else [first]
        self._indices: list[int] = [] if first is None else [0]
        self.holes: list[int] = []

    def begin(self, place: Place, index: int, *, hole: bool) -> None:
        """The event at `index` has this place and does not follow the one before it."""
        if self._indices and self._indices[-1] == index:
            # Nothing was written in the chapter before.
            self._places.pop()
            self._indices.pop()
        self._places.append(place)
        self._indices.append(index)
        if hole:
            self.holes.append(index)

    def index_behind(self, place: Place, length: int) -> int | None:
        """Index of the first event behind `place` in a log of that length.

        None if no such event was issued. What was lost counts as issued.
        """
        number = bisect_right(self._places, place) - 1
        if number < 0:
            return 0 if self.holes else None
        begins = self._places[number]
        if begins.epoch != place.epoch:
            return None
        index = self._indices[number] + place.seq - begins.seq + 1
        is_last = number + 1 == len(self._places)
        end = length if is_last else self._indices[number + 1]
        if index <= end:
            return index
        return None if is_last else end

    def next_hole(self, index: int) -> int | None:
        """Index of the first event behind `index` that has a hole before it."""
        number = bisect_right(self.holes, index)
        return self.holes[number] if number < len(self.holes) else None
