"""How much was had: steady rates and sums over windows, of one process or of all replicas."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from llm_stream.engine.redislog.link import RedisLink

MOST_AHEAD: Final = 256
"""What a batch that was let in may have ahead of its time; later starts wait for it."""

MAX_NAMES: Final = 100_000
"""Names counted in one process; the oldest are forgotten first."""

# The generic cell rate algorithm: one number a name, the time at which all that was had would have
# been had at the steady rate. By Redis' clock, so that replicas need not agree on the time.
_TAKE: Final = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local each, burst, count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local had = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
-- What a clock that was set back has left would be hours to wait.
had = math.min(had, now + (burst + tonumber(ARGV[4])) * each)
-- In this order: a sum with the time would be rounded, and 0 be a little more.
local wait = (had - now) + each * (1 - burst)
if wait > 0 then return tostring(wait) end
had = had + count * each
redis.call('SET', KEYS[1], tostring(had), 'PX', math.ceil((had - now) * 1000) + 1000)
return '0'
"""

_ADD: Final = """
redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


class Rate(NamedTuple):
    """So many a second, and so many at once."""

    per_second: float
    burst: int


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

    async def take(self, name: str, rate: Rate, count: int = 1) -> float:
        """Have `count` more if there is one to be had; 0, or the seconds to wait for it."""

    async def add(self, name: str, window: Window, amount: int) -> None:
        """Add to the sum of the window that is open now."""

    async def sums(self, name: str, windows: Sequence[Window]) -> list[int]:
        """The sums of the windows that are open now."""


class MemoryCounters:
    """Counts of one process.

    Args:
        clock: seconds since 1970.
        steady: monotonic seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._steady = steady
        self._had: dict[str, float] = {}
        self._sums: dict[str, tuple[str, int]] = {}

    async def take(self, name: str, rate: Rate, count: int = 1) -> float:
        """See `Counters`."""
        now, each = self._steady(), 1 / rate.per_second
        had = max(self._had.pop(name, 0.0), now)
        # In this order: a sum with the time would be rounded, and 0 be a little more.
        wait = (had - now) + each * (1 - rate.burst)
        self._had[name] = had if wait > 0 else had + count * each
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
        self, link: "RedisLink", prefix: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._link = link
        self._prefix = prefix
        self._clock = clock

    async def take(self, name: str, rate: Rate, count: int = 1) -> float:
        """See `Counters`."""
        key, each = f"{self._prefix}:rate:{name}", 1 / rate.per_second
        (wait,) = await self._link.ask(
            [("EVAL", _TAKE, 1, key, each, rate.burst, count, MOST_AHEAD)]
        )
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
