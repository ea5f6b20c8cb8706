"""The timers of one model call: first token, idle between chunks, total."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from async_timeout import timeout_at

from llm_stream.errors import UpstreamTimedOut


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds, each above 0; None = no limit.

    `first_token_seconds` runs from the call to its first chunk, `idle_seconds` from
    one chunk to the next, `total_seconds` over the whole call.
    """

    first_token_seconds: float | None = None
    idle_seconds: float | None = None
    total_seconds: float | None = None


class Watch:
    """Cancels the body of its `async with` when a timer runs out.

    `touch` is the per-chunk cost: it stores a time. One loop timer is re-armed lazily, at
    most once an idle period, instead of once a chunk.

    Raises:
        UpstreamTimedOut: from the `async with`, naming the timer (the upstream's doing). A
            cancellation from elsewhere passes unchanged.
    """

    def __init__(self, timeouts: Timeouts, model_id: str) -> None:
        self._timeouts = timeouts
        self._model_id = model_id
        self._loop = asyncio.get_running_loop()
        self._scope = timeout_at(None)
        self._timer: asyncio.TimerHandle | None = None
        self._fired = ""
        self._touched: float | None = None

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._began = self._loop.time()
        self._arm()
        return self

    def touch(self) -> None:
        """A chunk has come."""
        self._touched = self._loop.time()

    def _deadlines(self) -> list[tuple[float, str]]:
        limits = self._timeouts
        found = []
        if limits.total_seconds is not None:
            found.append((self._began + limits.total_seconds, "total_seconds"))
        if self._touched is None:
            if limits.first_token_seconds is not None:
                found.append((self._began + limits.first_token_seconds, "first_token_seconds"))
        elif limits.idle_seconds is not None:
            found.append((self._touched + limits.idle_seconds, "idle_seconds"))
        return found

    def _arm(self) -> None:
        deadlines = self._deadlines()
        if self._touched is None and self._timeouts.idle_seconds is not None:
            # The first chunk starts the idle timer without touching the loop, so look again
            # no later than it could run out.
            deadlines.append((self._loop.time() + self._timeouts.idle_seconds, ""))
        if deadlines:
            self._timer = self._loop.call_at(min(deadlines)[0], self._check)

    def _check(self) -> None:
        now = self._loop.time()
        due = [name for when, name in self._deadlines() if when <= now]
        if due:
            self._fired = due[0]
            self._scope.reschedule(now)
        else:
            self._arm()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._scope.__aexit__(kind, error, traceback)
        except TimeoutError:
            limit = getattr(self._timeouts, self._fired)
            raise UpstreamTimedOut(
                f"{self._model_id} exceeded {self._fired} = {limit:g}. Try again, or give it "
                f"more time with timeouts.{self._fired}.",
                field=f"timeouts.{self._fired}",
            ) from error
