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
from aiocache.backends.redis import RedisCache
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig
from ulid import ULID

from llm_stream.cache.gathered import GatheredReads
from llm_stream.cache.redisscripts import BUMP, COUNT, HEAD_BYTES, LIST, UNLIST
from llm_stream.cache.shelf import Volume
from llm_stream.cache.stored import Stored, StoredSerializer, about_of
from llm_stream.engine.redislog.limit import time_limit
from llm_stream.errors import CacheUnavailable

T = TypeVar("T")

CALL_SECONDS: Final = 0.25
"""Longest one call; a slow Redis is worse than none."""

CONNECTIONS: Final = 32
"""Most connections of one process; more calls at once wait for one."""

REST_SECONDS: Final = 1.0
"""How long a Redis that failed is left alone."""

GENERATION_SECONDS: Final = 400 * 86_400
"""Longer than any entry lives: a generation that was forgotten would bring void entries back."""

PAGE: Final = 500


class UrlRedisCache(RedisCache):  # type: ignore[misc]
    """aiocache's Redis backend for a URL, with bounded calls and without pickle."""

    def __init__(self, url: str, prefix: str) -> None:
        super().__init__(serializer=StoredSerializer(), namespace=prefix, timeout=None)
        # One retry: a connection that the server closed meanwhile is found out only by using it.
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=CALL_SECONDS,
            socket_connect_timeout=CALL_SECONDS,
            socket_timeout=CALL_SECONDS,
            retry=Retry(NoBackoff(), 1),
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self.client = redis.asyncio.Redis.from_pool(pool)


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
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._reads = GatheredReads(self._read_many)
        self._list = self._redis.register_script(LIST)
        self._bump = self._redis.register_script(BUMP)
        self._count = self._redis.register_script(COUNT)
        self._unlist = self._redis.register_script(UNLIST)
        self._sweeps: set[asyncio.Task[None]] = set()

    @property
    def resting(self) -> bool:
        """Whether Redis has just failed and is left alone for a moment."""
        return self._clock() < self._rests_until

    async def _call(self, make: Callable[[], Awaitable[T]]) -> T:
        # A burst waits here, outside the time limit: it is no sign of a slow Redis.
        async with self._slots:
            if self.resting:
                raise CacheUnavailable("The cache's Redis does not answer at the moment.")
            return await self._bounded(make)

    async def _bounded(self, make: Callable[[], Awaitable[T]]) -> T:
        began = self._clock()
        try:
            async with time_limit(CALL_SECONDS):
                return await make()
        except ResponseError as error:
            # It answered, so it is not left alone: a wrong type, a full memory, a read-only one.
            raise CacheUnavailable(
                f"The cache's Redis refused a call: {type(error).__name__}."
            ) from error
        except (RedisError, OSError, TimeoutError) as error:
            self._rests_until = self._clock() + REST_SECONDS
            raise CacheUnavailable(
                f"The cache's Redis does not answer: {type(error).__name__}."
            ) from error
        finally:
            self._observe(self._clock() - began)

    async def _read_many(self, keys: Sequence[str]) -> Sequence[Any]:
        found: Sequence[Any] = await self._call(lambda: self._cache.multi_get(keys))
        return found

    async def read(self, key: str, names: Sequence[str]) -> tuple[Stored | None, dict[str, int]]:
        """See `Shelf`. One round trip, two if the entry has names that the request has not."""
        wanted = [f"e:{key}", *(f"g:{name}" for name in names)]
        entry, *numbers = await self._reads.get(wanted)
        marks = dict(zip(names, (number or 0 for number in numbers), strict=True))
        if not isinstance(entry, Stored):
            return None, marks
        others = [name for name in entry.marks if name not in marks]
        numbers = await self._reads.get([f"g:{name}" for name in others])
        now = marks | dict(zip(others, (number or 0 for number in numbers), strict=True))
        valid = all(now[name] == mark for name, mark in entry.marks.items())
        return entry if valid else None, marks

    def at_hand(self, key: str, names: Sequence[str]) -> None:
        """See `Shelf`: it is always in Redis."""

    async def write(self, key: str, entry: Stored, seconds: float) -> bool:
        """See `Shelf`."""
        seconds = max(seconds, 0.001)
        (head,) = await self._heads([key])
        if about_of(head).get("run", "") > entry.recording.run:
            return False
        await self._call(lambda: self._cache.set(f"e:{key}", entry, ttl=float(seconds)))
        keys = [self._key("e", key)]
        keys += [self._key(kind, name) for name in entry.marks for kind in "gax"]
        arguments: list[str | float] = [key, entry.stored_at, seconds, *entry.marks.values()]
        return bool(await self._call(lambda: self._list(keys=keys, args=arguments)))

    async def _heads(self, keys: Sequence[str]) -> list[bytes]:
        look = self._redis.pipeline(transaction=False)
        for key in keys:
            look.getrange(self._key("e", key), 0, HEAD_BYTES)
        heads: list[bytes] = await self._call(look.execute)
        return heads

    def write_at_hand(self, key: str, entry: Stored, seconds: float) -> None:
        """See `Shelf`."""

    async def drop(self, keys: Iterable[str], name: str = "") -> int:
        """See `Shelf`."""
        return await self._take_off(list(keys), name)

    async def _take_off(self, keys: Sequence[str], name: str, *, only_void: bool = False) -> int:
        dropped = 0
        for start in range(0, len(keys), PAGE):
            arguments: list[str | int] = [
                self._prefix,
                name,
                int(only_void),
                *keys[start : start + PAGE],
            ]
            dropped += await self._call(partial(self._unlist, args=arguments))
        return dropped

    async def bump(self, name: str) -> int:
        """See `Shelf`. One step whatever their number; the memory is given back afterwards."""
        void = f"{self._key('a', name)}:{ULID()}"
        keys = [*(self._key(kind, name) for kind in "gax"), void]
        count: int = await self._call(lambda: self._bump(keys=keys, args=[GENERATION_SECONDS]))
        sweep = asyncio.create_task(self._sweep(void, name), name=f"sweep {name}")
        self._sweeps.add(sweep)
        sweep.add_done_callback(self._sweeps.discard)
        return count

    async def _sweep(self, void: str, name: str) -> None:
        try:
            while keys := await self._call(lambda: self._redis.zrange(void, 0, PAGE - 1)):
                # One that was computed anew meanwhile is valid again.
                await self._take_off([key.decode() for key in keys], name, only_void=True)
                await self._call(partial(self._redis.zrem, void, *keys))
        except CacheUnavailable:
            pass  # they are void already, and leave Redis when their time is over

    async def page(self, name: str, *, limit: int, skip: int = 0) -> list[dict[str, Any]]:
        """See `Shelf`."""
        place = self._key("a", name)
        keys = await self._call(lambda: self._redis.zrevrange(place, skip, skip + limit - 1))
        heads = await self._heads([key.decode() for key in keys]) if keys else []
        return [about for head in heads if (about := about_of(head))]

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

    async def swept(self) -> None:
        """Return when the memory of what was invalidated so far has been given back."""
        await asyncio.gather(*self._sweeps)

    async def close(self) -> None:
        """See `Shelf`."""
        await self.swept()
        await self._reads.close()
        await self._redis.aclose()
