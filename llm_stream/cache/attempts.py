"""When a stale answer was last computed anew, so that a model that is down is left alone."""

import time
from collections.abc import Callable
from typing import Final

PAUSE_SECONDS: Final = 10.0
"""From one attempt at an answer to the next."""

MAX_ANSWERS: Final = 10_000
"""Answers remembered; beyond, all are due again, which costs a call each."""


class Attempts:
    """Attempts by fingerprint.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}

    def due(self, key: str) -> bool:
        """Whether an attempt may be made now; if so, it counts as made."""
        now = self._clock()
        if now < self._next.get(key, now):
            return False
        if len(self._next) >= MAX_ANSWERS:
            self._next.clear()
        self._next[key] = now + PAUSE_SECONDS
        return True
