"""How long ended runs are kept, and how long it is known that they were."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from llm_stream.engine.run import Run

RUN_BYTES: Final = 4000
"""What an ended run costs beside its events, about: more than they do, where they are packed."""


class Retention:
    """Ended runs, oldest first, bounded in age and bytes; then their ids.

    Args:
        seconds: how long an ended run can still be read.
        max_bytes: most bytes of all of them, RUN_BYTES and their logs; the oldest go first.
        tombstones: ids of forgotten runs to remember, to tell "expired" from "never was".
        forget: called with each run that goes.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        seconds: float,
        max_bytes: int,
        tombstones: int,
        forget: Callable[[Run], object],
        clock: Callable[[], float],
    ) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._max_tombstones = tombstones
        self._forget = forget
        self._clock = clock
        self._kept: deque[tuple[float, int, Run]] = deque()
        self._tombstones: OrderedDict[str, str] = OrderedDict()
        self.bytes = 0

    def keep(self, run: Run, size: int) -> None:
        """Keep an ended run of so many bytes from now on."""
        self._kept.append((self._clock(), size, run))
        self.bytes += size

    def retire(self) -> int:
        """Forget what is over the bounds; how many went."""
        horizon = self._clock() - self._seconds
        gone = 0
        while self._kept and (self._kept[0][0] <= horizon or self.bytes > self._max_bytes):
            _, size, run = self._kept.popleft()
            self.bytes -= size
            self._forget(run)
            self._tombstones[run.id] = run.info.owner
            if len(self._tombstones) > self._max_tombstones:
                self._tombstones.popitem(last=False)
            gone += 1
        return gone

    @property
    def next_in_seconds(self) -> float | None:
        """When the oldest run will be too old; None while none is kept."""
        if not self._kept:
            return None
        return max(0.0, self._kept[0][0] + self._seconds - self._clock())

    def expired(self, run_id: str, owner: str) -> bool:
        """Whether the run was kept here for this owner and has been forgotten."""
        return self._tombstones.get(run_id) == owner
