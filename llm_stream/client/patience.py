"""How long a reader tries again, and how it waits: exponential with full jitter."""

import asyncio
import random
from collections.abc import Callable
from time import monotonic
from typing import Final

from llm_stream.errors import StreamError

BASE_SECONDS: Final = 0.25
CAP_SECONDS: Final = 10.0


class Patience:
    """Waits between attempts; gives up when nothing has come of them for so long.

    Args:
        seconds: how long attempts may fail, counted from the last that did not; 0: try once.
        clock: monotonic seconds.
        jitter: makes a number between 0 and 1. Anything from nothing to the whole pause, so that
            a thousand readers that were cut off at once do not come back at once.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._jitter = jitter
        self._failing_since: float | None = None
        self._attempt = 0

    def progressed(self) -> None:
        """Something has arrived: begin to count anew."""
        self._failing_since = None
        self._attempt = 0

    def pause(self, error: StreamError) -> float:
        """Seconds to wait before the next attempt, at least what the service has advised.

        Raises:
            StreamError: `error` itself, when patience is over or would be by then.
        """
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        most: float = min(CAP_SECONDS, BASE_SECONDS * 2 ** min(self._attempt, 16))
        seconds = self._jitter() * most + (error.retry_after_ms or 0) / 1000
        self._attempt += 1
        if now + seconds - self._failing_since >= self._seconds:
            raise error
        return seconds

    async def wait(self, error: StreamError) -> None:
        """Wait as `pause` says; raises as it does."""
        await asyncio.sleep(self.pause(error))
