"""Pauses in the writer's work, so that the event loop has its turn.

A batch is some tens of milliseconds of one thread. Where both threads share a core, and whenever
this one holds the interpreter's lock, the loop would wait for a whole slice of it, 5 ms and more:
of a hundred first tokens one or two did.
"""

import sqlite3
import time
from collections.abc import Callable
from math import inf
from typing import Any, Final

WORK_SECONDS: Final = 0.0015
"""How much CPU is spent until there is a pause; to wait for a lock is no work."""

PAUSE_SECONDS: Final = 0.005
"""How long it is."""


class Breath:
    """The pauses of one thread.

    Args:
        hurried: see below.
        work: CPU seconds of the thread.
        clock: monotonic seconds.
        sleep: waits so many seconds.

    Attributes:
        hurried: whether there are none: somebody waits for what is written, or too much does. May
            be set from any thread.
    """

    __slots__ = ("_clock", "_since", "_sleep", "_until", "_work", "hurried")

    def __init__(
        self,
        *,
        hurried: bool = False,
        work: Callable[[], float] = time.thread_time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.hurried = hurried
        self._work = work
        self._clock = clock
        self._sleep = sleep
        self._since = 0.0
        self._until = -inf

    def begin(self, seconds: float = inf) -> None:
        """Pause from now on, for so long; others may wait for what is held meanwhile."""
        self._since = self._work()
        self._until = self._clock() + seconds

    def take(self) -> None:
        """Pause if it is time to; between two pieces of work."""
        if self.hurried or self._work() - self._since < WORK_SECONDS:
            return
        if self._clock() < self._until:
            self._sleep(PAUSE_SECONDS)
        self._since = self._work()


class BreathingConnection(sqlite3.Connection):
    """A connection that takes breath after each statement it executes.

    Attributes:
        breath: none, until it is set.
    """

    breath: Breath = Breath(hurried=True)

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """See `sqlite3.Connection`."""
        cursor = super().execute(*args)
        self.breath.take()
        return cursor
