"""Calls of functions, counted by function, and what is wrong with them."""

import asyncio
import re
import selectors
import sys
import threading
from asyncio import base_events, events, selector_events
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from benchmarks.hot_path.parts import Part

TRIES: Final = 3
"""Of so many counts the least is taken."""

OURS: Final = frozenset(map(str, Path(__file__).parent.glob("*.py")))

UNCOUNTED: Final = frozenset(
    {
        *OURS,
        *(
            module.__file__
            for module in (base_events, events, selector_events, selectors, threading)
        ),
    }
)
"""Whose own calls are not counted, calls of theirs are: the loop is another one in a service."""

NEVER: Final = re.compile(
    r"structlog/|logging/|pydantic|SchemaValidator|SchemaSerializer|TypeAdapter"
    r"|create_task|ensure_future|call_later|call_at|\bTimeout\b|MetricWrapperBase\.labels"
)
"""Functions that have no place in a token: logs, validation, tasks, timers, look-ups of metrics."""

Calls = Counter[str]


class Counted(NamedTuple):
    """What was counted of one thing.

    Attributes:
        each: calls a piece.
        calls: by function, of all pieces.
        pieces: how many they were.
    """

    each: float
    calls: Calls
    pieces: int

    def faults(self, name: str, limit: float, top: int) -> Iterator[str]:
        """What is wrong with it, and what to do about it."""
        if self.each > limit:
            yield f"{name}: {self.each:g} calls, over the limit of {limit:g}. Most of them:"
            for function, calls in self.calls.most_common(top):
                yield f"  {calls / self.pieces:7.2f}  {function}"
        if name.startswith("a token"):
            for function, calls in self.calls.items():
                if calls >= self.pieces / 4 and NEVER.search(function):
                    yield f"{name}: {calls / self.pieces:g} calls of {function}, of which is none"


@contextmanager
def counting() -> Iterator[Calls]:
    """Count calls by function, without those of this package."""
    found: Counter[tuple[CodeType | object, bool]] = Counter()
    named = Calls()

    def look(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "c_call":
            if code.co_filename not in UNCOUNTED:
                found[getattr(argument, "__qualname__", "?"), False] += 1
        elif event == "call" and code.co_filename not in OURS:
            caller = frame.f_back
            inside = code.co_filename in UNCOUNTED
            if not inside or caller is None or caller.f_code.co_filename not in UNCOUNTED:
                found[code, True] += 1

    sys.setprofile(look)
    try:
        yield named
    finally:
        sys.setprofile(None)
        for (what, python), count in found.items():
            named[_name(what) if python else f"{what} (C)"] += count


def _name(code: Any) -> str:
    return f"{code.co_qualname} ({'/'.join(Path(code.co_filename).parts[-2:])})"


async def rest(turns: int = 30) -> None:
    """Let what is still under way end."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def count(part: Part, pieces: int) -> Calls:
    """The calls that each of so many pieces costs, times their number."""

    async def calls(number: int) -> Calls:
        with counting() as counted:
            await part(number)
            await rest()
        return counted

    for number in (pieces, 2 * pieces):  # what is made once is there
        await part(number)
    await rest()
    # What happens now and then - a second is over, a file is looked at again - only adds.
    few, many = [
        min([await calls(number) for _ in range(TRIES)], key=Calls.total)
        for number in (pieces, 2 * pieces)
    ]
    many.subtract(few)
    return many
