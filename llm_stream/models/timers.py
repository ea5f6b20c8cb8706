"""The timers of one model call: connect, first token, idle between chunks, total, too slow."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from types import TracebackType
from typing import Final, Self

from async_timeout import timeout_at

from llm_stream.errors import UpstreamTimedOut
from llm_stream.models.chunks import Chunk


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits, each above 0; None = no limit, or none of one's own.

    `first_token_seconds` runs from the call to its first chunk, `idle_seconds` from
    one chunk to the next, `total_seconds` over the whole call. `min_tokens_per_second`, where 0
    is no limit either, is looked at every `slow_window_seconds` from the first chunk on.
    `connect_seconds` is for whoever opens the connection, see `connect_limit`.
    """

    first_token_seconds: float | None = None
    idle_seconds: float | None = None
    total_seconds: float | None = None
    connect_seconds: float | None = None
    min_tokens_per_second: float | None = None
    slow_window_seconds: float | None = None

    def over(self, usual: Self) -> Self:
        """These limits, and the usual ones where these say nothing."""
        if self == NO_LIMITS:
            return usual
        mine = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(usual, **{name: limit for name, limit in mine.items() if limit is not None})


NO_LIMITS: Final = Timeouts()

_connect: Final[ContextVar[float | None]] = ContextVar("connect_seconds", default=None)


def connect_limit() -> float | None:
    """Seconds in which the call being made by this task has to be connected; None = no limit.

    Whoever opens the connection asks for it inside the model's own code, and raises
    `UpstreamTimedOut` with the field `timeouts.connect_seconds` when it runs out.
    """
    return _connect.get()


CHARS_A_TOKEN: Final = 4
"""What a token is taken for where a chunk holds several; no model counts while it streams."""


class Speed:
    """Whether an answer comes too slowly: tokens are counted over windows, from the first on.

    Args:
        least: tokens a second below which it is too slow.
        window_seconds: over how long.
        clock: monotonic seconds.
    """

    def __init__(self, least: float, window_seconds: float, clock: Callable[[], float]) -> None:
        self._least = least
        self._length = window_seconds
        self._clock = clock
        self._began: float | None = None
        self._chunks = self._chars = 0

    @property
    def due(self) -> float:
        """When to look: at the end of the window, or of one that would begin now."""
        return (self._clock() if self._began is None else self._began) + self._length

    def count(self, chunk: Chunk) -> None:
        """Output has come; other chunks say nothing about speed."""
        if self._began is None:
            self._began = self._clock()
        text = chunk if isinstance(chunk, str) else getattr(chunk, "text", "")
        self._chunks += 1
        self._chars += len(text)

    def is_low(self, now: float) -> bool:
        """Whether the window is over and there was too little in it; if not, the next begins."""
        if self._began is None or now < self._began + self._length:
            return False
        tokens = max(self._chunks, self._chars / CHARS_A_TOKEN)
        if tokens < self._least * (now - self._began):
            return True
        self._began, self._chunks, self._chars = now, 0, 0
        return False


class Watch:
    """Cancels the body of its `async with` when a timer runs out.

    `touch` is the per-chunk cost: it stores a time. One loop timer is re-armed lazily, at
    most once an idle period or window, instead of once a chunk.

    Attributes:
        speed: where chunks are to be counted as well, None without a guard against slow answers.

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
        self.speed: Speed | None = None
        if timeouts.min_tokens_per_second and timeouts.slow_window_seconds:
            self.speed = Speed(
                timeouts.min_tokens_per_second, timeouts.slow_window_seconds, self._loop.time
            )

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        _connect.set(self._timeouts.connect_seconds)
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
        if self.speed is not None:
            deadlines.append((self.speed.due, ""))
        if deadlines:
            self._timer = self._loop.call_at(min(deadlines)[0], self._check)

    def _check(self) -> None:
        now = self._loop.time()
        due = [name for when, name in self._deadlines() if when <= now]
        if self.speed is not None and self.speed.is_low(now):
            due.append("min_tokens_per_second")
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
            name, limit = self._fired, getattr(self._timeouts, self._fired)
            broke = "stayed below" if name == "min_tokens_per_second" else "exceeded"
            raise UpstreamTimedOut(
                f"{self._model_id} {broke} {name} = {limit:g}. Try again, or be more patient "
                f"with timeouts.{name}.",
                field=f"timeouts.{name}",
            ) from error
