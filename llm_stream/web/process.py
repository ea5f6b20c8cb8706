"""What a serving process sets up once for all it does: its event loop, its garbage collector."""

import asyncio
import ctypes
import gc
import importlib.util
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

YOUNG_OBJECTS: Final = 50_000
"""New objects between two looks of the collector, instead of 700: a replay makes thousands."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The event loop to serve on: uvloop's, or asyncio's on a platform it is not made for."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 - it may not be there

    return uvloop.new_event_loop()


def run_in_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine to its end on a loop of its own, as `asyncio.run` does. Blocks."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


def collect_rarely() -> None:
    """Let the collector look at new objects less often.

    To be called before modules are imported: they stay, and looking through them again and again
    is a tenth to a fifth of what a start costs.
    """
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)


def list_no_generators() -> None:
    """Let the running loop keep no list of the async generators that have begun.

    It would close what is left of them when it ends, and keeps a weak reference to each for that:
    a dozen for each run. Ours are closed by who goes through them, and one that is dropped all the
    same is still closed by the loop; what somebody still holds when the loop ends is not.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=None, finalizer=hooks.finalizer)


def settle_memory() -> None:
    """What is there now stays: the collector never looks at it again, and at all less often.

    What starting has freed goes back to the system. To be called once, when the service is up.
    Only cycles wait for the collector; all else is given back at once, as ever.
    """
    gc.collect()
    gc.freeze()
    collect_rarely()
    # Imports leave megabytes of holes in the heap, which glibc keeps until it is told not to.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
