"""Entries in Redis, through aiocache's backend, shared by every replica.

Keys, all below a prefix: `e:<fingerprint>` an entry, `g:<name>` a generation, `a:<name>` and
`x:<name>` the sorted sets of a name's entries by when they were stored and when they expire.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import redis.asyncio
from aiocache import RedisCache
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from ulid import ULID

from llm_stream.cache.shelf import Volume
from llm_stream.cache.stored import Stored, StoredSerializer, marks_of
from llm_stream.errors import CacheUnavailable

T = TypeVar("T")

CALL_SECONDS: Final = 0.25
"""Longest one call; a slow Redis is worse than none."""

REST_SECONDS: Final = 1.0
"""How long a Redis that failed is left alone."""

GENERATION_SECONDS: Final = 400 * 86_400
"""Longer than any entry lives: a generation that was forgotten would bring void entries back."""

HEAD_BYTES: Final = 32_768
"""The first line of an entry, with its marks, is shorter than that."""

PAGE: Final = 500

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
"""
# Lists a new entry under its names, unless it is void already, and forgets what has expired of
# them meanwhile. KEYS: the entry, then generation and both lists of each name; ARGV: its key,
# when it was stored, for how many seconds, then the mark of each name.
_LIST: Final = (
    _NOW
    + """
for i = 2, #KEYS, 3 do
  if (redis.call('GET', KEYS[i]) or '0') ~= ARGV[3 + (i + 1) / 3] then
    redis.call('UNLINK', KEYS[1])
    return
  end
end
for i = 2, #KEYS, 3 do
  local dead = redis.call('ZRANGEBYSCORE', KEYS[i+2], '-inf', now, 'LIMIT', 0, 100)
  for _, key in ipairs(dead) do
    redis.call('ZREM', KEYS[i+1], key)
    redis.call('ZREM', KEYS[i+2], key)
  end
  redis.call('ZADD', KEYS[i+1], ARGV[2], ARGV[1])
  redis.call('ZADD', KEYS[i+2], now + ARGV[3], ARGV[1])
end
"""
)
# Raises a generation and puts the list of what is void aside; how many there were.
_BUMP: Final = (
    _NOW
    + """
local count = redis.call('ZCOUNT', KEYS[3], now, '+inf')
redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[3])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('RENAME', KEYS[2], KEYS[4])
  redis.call('EXPIRE', KEYS[4], 86400)
end
return count
"""
)
_COUNT: Final = _NOW + "return redis.call('ZCOUNT', KEYS[1], now, '+inf')"


class UrlRedisCache(RedisCache):  # type: ignore[misc]
    """aiocache's Redis backend for a URL, with bounded calls and without pickle."""

    def __init__(self, url: str, prefix: str) -> None:
        super().__init__(serializer=StoredSerializer(), namespace=prefix, timeout=None)
        self.client = redis.asyncio.Redis.from_url(
            url,
            socket_connect_timeout=CALL_SECONDS,
            socket_timeout=CALL_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )


class RedisShelf:
    """See `Shelf`; every method may raise CacheUnavailable.

    Args:
        url: redis://host:port/db, or rediss:// and unix:// as redis-py has them.
        prefix: begins every key.
        observe: told how many seconds each call took.
        clock: monotonic seconds.
    """

    shared = True

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        observe: Callable[[float], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = UrlRedisCache(url, prefix)
        # Its stubs tell sync and async, bytes and text apart badly.
        self._redis: Any = self._cache.client
        self._prefix = prefix
        self._observe = observe
        self._clock = clock
        self._rests_until = 0.0
        self._list = self._redis.register_script(_LIST)
        self._bump = self._redis.register_script(_BUMP)
        self._count = self._redis.register_script(_COUNT)
        self._sweeps: set[asyncio.Task[None]] = set()

    @property
    def resting(self) -> bool:
        """Whether Redis has just failed and is left alone for a moment."""
        return self._clock() < self._rests_until

    async def _call(self, make: Callable[[], Awaitable[T]]) -> T:
        if self.resting:
            raise CacheUnavailable("The cache's Redis does not answer at the moment.")
        began = self._clock()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await make()
        except (RedisError, OSError, TimeoutError) as error:
            self._rests_until = self._clock() + REST_SECONDS
            raise CacheUnavailable(
                f"The cache's Redis does not answer: {type(error).__name__}."
            ) from error
        finally:
            self._observe(self._clock() - began)

    async def _get(self, keys: Sequence[str]) -> list[Any]:
        return await self._call(lambda: self._cache.multi_get(keys)) if keys else []

    async def read(self, key: str, names: Sequence[str]) -> tuple[Stored | None, dict[str, int]]:
        """See `Shelf`. One round trip, two if the entry has names that the request has not."""
        entry, *numbers = await self._get([f"e:{key}", *(f"g:{name}" for name in names)])
        marks = dict(zip(names, (number or 0 for number in numbers), strict=True))
        if not isinstance(entry, Stored):
            return None, marks
        others = [name for name in entry.marks if name not in marks]
        numbers = await self._get([f"g:{name}" for name in others])
        now = marks | dict(zip(others, (number or 0 for number in numbers), strict=True))
        valid = all(now[name] == mark for name, mark in entry.marks.items())
        return entry if valid else None, marks

    async def write(self, key: str, entry: Stored, seconds: float) -> None:
        """See `Shelf`."""
        await self._call(lambda: self._cache.set(f"e:{key}", entry, ttl=float(seconds)))
        keys = [self._key("e", key)]
        keys += [self._key(kind, name) for name in entry.marks for kind in "gax"]
        arguments: list[str | float] = [key, entry.stored_at, seconds, *entry.marks.values()]
        await self._call(lambda: self._list(keys=keys, args=arguments))

    async def drop(self, keys: Iterable[str]) -> int:
        """See `Shelf`."""
        chosen = list(keys)
        return sum([
            await self._unlist(chosen[start : start + PAGE])
            for start in range(0, len(chosen), PAGE)
        ])  # fmt: skip

    async def _unlist(self, keys: Sequence[str]) -> int:
        """Drop entries and take them off the lists of their names."""
        look = self._redis.pipeline(transaction=False)
        for key in keys:
            look.getrange(self._key("e", key), 0, HEAD_BYTES)
        heads = await self._call(look.execute)
        go = self._redis.pipeline(transaction=False)
        for key, head in zip(keys, heads, strict=True):
            for name in marks_of(head):
                go.zrem(self._key("a", name), key)
                go.zrem(self._key("x", name), key)
        go.unlink(*(self._key("e", key) for key in keys))
        dropped: int = (await self._call(go.execute))[-1]
        return dropped

    async def bump(self, name: str) -> int:
        """See `Shelf`. One step whatever their number; the memory is given back afterwards."""
        void = f"{self._key('a', name)}:{ULID()}"
        keys = [*(self._key(kind, name) for kind in "gax"), void]
        count: int = await self._call(lambda: self._bump(keys=keys, args=[GENERATION_SECONDS]))
        sweep = asyncio.create_task(self._sweep(void), name=f"sweep {name}")
        self._sweeps.add(sweep)
        sweep.add_done_callback(self._sweeps.discard)
        return count

    async def _sweep(self, void: str) -> None:
        try:
            while keys := await self._call(lambda: self._redis.zrange(void, 0, PAGE - 1)):
                await self._unlist([key.decode() for key in keys])
                await self._call(partial(self._redis.zrem, void, *keys))
        except CacheUnavailable:
            pass  # they are void already, and leave Redis when their time is over

    async def page(self, name: str, *, limit: int, skip: int = 0) -> list[Stored]:
        """See `Shelf`."""
        place = self._key("a", name)
        keys = await self._call(lambda: self._redis.zrevrange(place, skip, skip + limit - 1))
        found = await self._get([f"e:{key.decode()}" for key in keys])
        return [entry for entry in found if isinstance(entry, Stored)]

    async def older(self, name: str, seconds: float, *, limit: int) -> list[str]:
        """See `Shelf`."""
        place, horizon = self._key("a", name), time.time() - seconds
        keys = await self._call(
            lambda: self._redis.zrangebyscore(place, "-inf", horizon, start=0, num=limit)
        )
        return [key.decode() for key in keys]

    async def count(self, name: str) -> int:
        """See `Shelf`."""
        counted: int = await self._call(lambda: self._count(keys=[self._key("x", name)]))
        return counted

    def volume(self) -> Volume:
        """See `Shelf`. Redis keeps to its own bounds."""
        return Volume(None, None, None)

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{name}"

    async def close(self) -> None:
        """See `Shelf`."""
        await asyncio.gather(*self._sweeps)
        await self._redis.aclose()
