"""Calls that cost nothing - kept answers, joined runs - counted until the writer has them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from llm_stream.history.batches import Job
from llm_stream.history.jobs import Counting
from llm_stream.history.ledger import MINUTE, Reuse, Reused
from llm_stream.recipes.recorder import Reusing
from llm_stream.recipes.spec import RunSpec

FLUSH_SECONDS: Final = 5.0
"""How long counts wait for more of their kind; a process that is killed loses as much."""

MAX_WAITING: Final = 8
"""While so many batches wait for the writer, as they do if it fails, the rest stays here."""


class Reuses:
    """Thousands of hits a second are one row a minute.

    Args:
        put: hands a job to the writer; False if it takes none.
        clock: seconds since 1970.
    """

    def __init__(self, put: Callable[[Job], bool], clock: Callable[[], float] = time.time) -> None:
        self._put = put
        self._clock = clock
        self._counts: Counter[tuple[Reuse, Reusing]] = Counter()
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    def count(self, spec: RunSpec, how: Reusing) -> None:
        """One call of this spec was answered so."""
        minute = int(self._clock()) // MINUTE * MINUTE
        reuse = Reuse(minute, spec.recipe, spec.model, spec.tier, spec.owner)
        self._counts[reuse, how] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Hand over what was counted so far; what is not taken is counted on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._counts:
            return
        loop = asyncio.get_running_loop()
        counted = {
            reuse: Reused(self._counts[reuse, "cached"], self._counts[reuse, "joined"])
            for reuse, _ in self._counts
        }
        job = Counting(counted, lambda: loop.call_soon_threadsafe(self._written))
        if self._waiting < MAX_WAITING and self._put(job):
            self._waiting += 1
            self._counts.clear()
        else:
            self._timer = loop.call_later(FLUSH_SECONDS, self.flush)

    def _written(self) -> None:
        self._waiting -= 1

    def close(self) -> None:
        """Hand over the rest; nothing is counted any more."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
