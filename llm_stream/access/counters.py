"""How much was had: steady rates and sums over windows, of one process or of all replicas."""

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from llm_stream.engine.redislog.link import RedisLink

MAX_NAMES: Final = 100_000
"""Names counted in one process; the oldest are forgotten first."""

# The generic cell rate algorithm: one number a name, the time at which all that was had would have
# been had at the steady rate. By Redis' clock, so that replicas need not agree on the time.
_TAKE: Final = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local each, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local had = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = had + each - burst - now
if wait > 0 then return tostring(wait) end
redis.call('SET', KEYS[1], tostring(had + each), 'PX', math.ceil((had + each - now) * 1000) + 1000)
return '0'
"""

_ADD: Final = """
redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


class Window(NamedTuple):
    """A span of wall-clock time that a sum is over: the minute, the day (of UTC)."""

    name: str
    seconds: int

    def key(self, now: float) -> str:
        """Names the window that is open now."""
        return f"{self.name}:{int(now) // self.seconds}"

    def left(self, now: float) -> float:
        """Seconds until the next one opens."""
        return self.seconds - now % self.seconds


class Counters(Protocol):
    """Counts by name. No method takes longer than a call to Redis may."""

    async def take(self, name: str, per_second: float, burst: int) -> float:
        """Have one more at this rate, `burst` at once at most; 0, or the seconds to wait."""

    async def add(self, name: str, window: Window, amount: int) -> None:
        """Add to the sum of the window that is open now."""

    async def sums(self, name: str, windows: Sequence[Window]) -> list[int]:
        """The sums of the windows that are open now."""


class MemoryCounters:
    """Counts of one process.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._had: dict[str, float] = {}
        self._sums: dict[str, tuple[str, int]] = {}

    async def take(self, name: str, per_second: float, burst: int) -> float:
        """See `Counters`."""
        now, each = self._clock(), 1 / per_second
        # What a clock that was set back has left would be hours to wait.
        had = min(max(self._had.pop(name, 0.0), now), now + burst * each)
        wait = had + each - burst * each - now
        self._had[name] = had if wait > 0 else had + each
        if len(self._had) > MAX_NAMES:
            del self._had[next(iter(self._had))]
        return max(0.0, wait)

    async def add(self, name: str, window: Window, amount: int) -> None:
        """See `Counters`."""
        key = window.key(self._clock())
        counted, so_far = self._sums.pop(f"{name}:{window.name}", (key, 0))
        self._sums[f"{name}:{window.name}"] = key, amount + (so_far if counted == key else 0)
        if len(self._sums) > MAX_NAMES:
            del self._sums[next(iter(self._sums))]

    async def sums(self, name: str, windows: Sequence[Window]) -> list[int]:
        """See `Counters`."""
        now = self._clock()
        found = [self._sums.get(f"{name}:{window.name}", ("", 0)) for window in windows]
        return [
            amount if counted == window.key(now) else 0
            for (counted, amount), window in zip(found, windows, strict=True)
        ]


class RedisCounters:
    """Counts of all replicas.

    Args:
        link: the Redis they share.
        prefix: begins every key there.
        clock: seconds since 1970; replicas' may differ by a small part of a minute.

    Raises:
        LogUnavailable: from every method: Redis does not answer now.
    """

    def __init__(
        self, link: RedisLink, prefix: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._link = link
        self._prefix = prefix
        self._clock = clock

    async def take(self, name: str, per_second: float, burst: int) -> float:
        """See `Counters`."""
        each = 1 / per_second
        key = f"{self._prefix}:rate:{name}"
        (wait,) = await self._link.ask([("EVAL", _TAKE, 1, key, each, each * burst)])
        return float(wait)

    async def add(self, name: str, window: Window, amount: int) -> None:
        """See `Counters`."""
        key = self._key(name, window)
        await self._link.ask([("EVAL", _ADD, 1, key, amount, 2 * window.seconds)])

    async def sums(self, name: str, windows: Sequence[Window]) -> list[int]:
        """See `Counters`."""
        found = await self._link.ask([("GET", self._key(name, window)) for window in windows])
        return [int(amount or 0) for amount in found]

    def _key(self, name: str, window: Window) -> str:
        return f"{self._prefix}:sum:{name}:{window.key(self._clock())}"
