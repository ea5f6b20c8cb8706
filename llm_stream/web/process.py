"""What a serving process sets up once for all it does: its event loop, its garbage collector."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

new_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop as new_loop
except ImportError:  # there are no wheels for every platform; asyncio's own loop does as well
    new_loop = asyncio.new_event_loop

T = TypeVar("T")

YOUNG_OBJECTS: Final = 50_000
"""New objects between two looks of the collector, instead of 700: a replay makes thousands."""


def run_in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in a loop of its own, uvloop's where it is installed; blocks."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


def settle_memory() -> None:
    """What is there now stays: the collector never looks at it again, and at all less often.

    To be called once, when the service is up. Only cycles wait for the collector; all else is
    given back at once, as ever.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
