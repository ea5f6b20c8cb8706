"""Pauses in the writer's work, so that the event loop has its turn.

A batch is some tens of milliseconds of one thread. Where both threads share a core, and whenever
this one holds the interpreter's lock, the loop would wait for a whole slice of it, 5 ms and more:
of a hundred first tokens one or two did.
"""

import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

WORK_SECONDS: Final = 0.0005
"""How long is worked until there is a pause."""

PAUSE_SECONDS: Final = 0.001
"""How long it is: the system does not wake anybody much sooner."""


class Breath:
    """The pauses of one thread.

    Attributes:
        hurried: whether there are none: somebody waits for what is written, or too much does. May
            be set from any thread.
    """

    __slots__ = ("_clock", "_since", "_sleep", "hurried")

    def __init__(
        self,
        *,
        hurried: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._since = clock()
        self.hurried = hurried

    def take(self) -> None:
        """Pause if it is time to; between two pieces of work."""
        if not self.hurried and self._clock() - self._since >= WORK_SECONDS:
            self._sleep(PAUSE_SECONDS)
            self._since = self._clock()


class BreathingConnection(sqlite3.Connection):
    """A connection that takes breath after each statement.

    Attributes:
        breath: none, until it is set.
    """

    breath: Breath = Breath(hurried=True)

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """See `sqlite3.Connection`."""
        cursor = super().execute(*args)
        self.breath.take()
        return cursor
