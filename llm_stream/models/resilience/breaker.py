"""Leaves a model, or a provider, alone that has failed several times in a row; looks later."""

import math
import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "half-open", "open"]


class Breaker:
    """Closed until `failures` calls in a row have failed; then open for `open_seconds`.

    After that one call, the probe, is let through: its first output closes the breaker, its
    failure opens it again. Calls that were under way when it opened still count: an answer
    closes it, a failure changes nothing.

    Args:
        failures: in a row, at least 1.
        open_seconds: how long nobody is let through.
        clock: monotonic seconds.
        models: of how many different models these failures have to be, at least.

    Attributes:
        used_at, answered_at: when a call was last made, or has ended; when one was answered.
    """

    def __init__(
        self,
        failures: int,
        open_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        models: int = 1,
    ) -> None:
        self._limit = failures
        self._models = models
        self._failed: set[str | None] = set()
        self._open_seconds = open_seconds
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._probing = False
        self.used_at = self.answered_at = -math.inf

    @property
    def state(self) -> State:
        """`half-open` from when a probe may be made until it has told."""
        if self._opened is None:
            return "closed"
        return "open" if self._clock() < self._opened + self._open_seconds else "half-open"

    def blocked_seconds(self) -> float | None:
        """None: a call may be made now. Else how long none may, 0 while a probe is under way."""
        if self._opened is None:
            return None
        left = self._opened + self._open_seconds - self._clock()
        if left > 0:
            return left
        return 0.0 if self._probing else None

    def begin(self) -> bool:
        """A call is made; whether it is the probe. Every probe ends by one of the other three."""
        self.used_at = self._clock()
        self._probing = probe = self._opened is not None
        return probe

    def answered(self) -> None:
        """A call, or the first output of the probe, has come."""
        self.used_at = self.answered_at = self._clock()
        self._failures = 0
        self._failed.clear()
        self._opened = None
        self._probing = False

    def failed(self, *, probe: bool, model: str | None = "") -> None:
        """A call has failed in a way that says the model is down; None: all of them are."""
        self.used_at = self._clock()
        self._failures += 1
        if len(self._failed) < self._models:
            self._failed.add(model)
        several = len(self._failed) >= self._models or None in self._failed
        enough = self._failures >= self._limit and several
        if probe or (self._opened is None and enough):
            self._opened = self._clock()
            self._probing = False

    def told_nothing(self, *, probe: bool) -> None:
        """A call ended without saying whether the model works: cancelled, refused."""
        self.used_at = self._clock()
        if probe:
            self._probing = False
