"""Sheds load before it hurts: while the event loop is late, no run begins."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from llm_stream.engine.gate import Gate, Pass
from llm_stream.errors import Overloaded

FADES: Final = 0.5
"""What is left of a lateness at the next look, so that a loop that has just been late is not
flooded at once."""

FEW_RUNS: Final = 16
"""So many runs are not what makes a loop late: another program has the processor, a plugin blocks
it, or the service has just started. To refuse more would help nobody."""


class LoadGuard:
    """Knows how late the event loop is, which is how much more it has to do than it can.

    Args:
        limit_seconds: lateness from which on nothing new begins; 0 = never.
        clock: monotonic seconds.

    Attributes:
        late_seconds: how late the loop was lately, at one look and the next.
        refused: runs that were refused.
    """

    def __init__(self, limit_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit_seconds
        self._clock = clock
        self._last = 0.0
        self.late_seconds = 0.0
        self.refused = 0

    async def watch(self, every_seconds: float, tell: Callable[[float], object]) -> None:
        """Measure so often, until cancelled; `tell` is called with each lateness."""
        while True:
            due = self._clock() + every_seconds
            await asyncio.sleep(every_seconds)
            late = max(0.0, self._clock() - due)
            self.observe(late)
            tell(late)

    def observe(self, late_seconds: float) -> None:
        """The loop was so late."""
        # Late at one look is a hiccup, late at every look is too much to do.
        lasting, self._last = min(late_seconds, self._last), late_seconds
        self.late_seconds = max(lasting, self.late_seconds * FADES)

    def check(self) -> None:
        """Raise unless a run may begin.

        Raises:
            Overloaded: the loop is too late.
        """
        if self._limit and self.late_seconds >= self._limit:
            self.refused += 1
            raise Overloaded(
                "The service has more to do than it can. Try again in a moment.",
                retry_after_ms=1000,
            )


class GuardedGate(Gate):
    """The service's own gate, which lets nobody in while there is too much to do.

    What is inside or waits goes on; see `Gate` for the arguments.
    """

    def __init__(self, slots: int, queue: int, name: str, load: LoadGuard) -> None:
        super().__init__(slots, queue, name)
        self._load = load

    def admit(self, party: str = "") -> Pass:
        """See `Gate.admit`.

        Raises:
            TooManyRuns: all slots are busy and the queue is full.
            Overloaded: there is room, and no time, and FEW_RUNS are here already.
        """
        if self.admitted >= FEW_RUNS:
            self._load.check()
        return super().admit(party)
