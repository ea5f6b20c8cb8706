"""What clients have open at once - runs, sockets -, counted over all replicas.

A place is a lease. Its holder renews it as long as it has it and gives it back at once; the places
of a replica that is killed come free by themselves.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

from llm_stream.engine.redislog.crew import Crew
from llm_stream.engine.redislog.link import BREAK_SECONDS, Command, RedisLink
from llm_stream.errors import LogUnavailable
from llm_stream.naming import token

LEASE_SECONDS: Final = 15.0
"""How long a place stays taken that nobody renews."""

RENEW_SECONDS: Final = 5.0

PAUSES: Final = (0.005, 0.015)
"""Seconds between questions for a place: one that was given back elsewhere may be on its way."""

NAMES_AT_ONCE: Final = 200
"""Names that are told of in one call, which is some milliseconds of work here and there."""

# One sorted set a name: places by the time at which they come free. By Redis' clock, so that
# replicas need not agree on the time. Without a number of places there is no limit to keep.
_PUT: Final = """
local t = redis.call('TIME')
local now, lease, most = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[1]), tonumber(ARGV[2])
if most then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  -- What a clock that was set back has left would stay for hours.
  redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 2 * lease, '+inf')
  if redis.call('ZCARD', KEYS[1]) + #ARGV - 2 > most then return 0 end
end
for place = 3, #ARGV do redis.call('ZADD', KEYS[1], now + lease, ARGV[place]) end
redis.call('PEXPIRE', KEYS[1], lease)
return 1
"""


class Places(Protocol):
    """Places by name, shared with others. No method takes longer than a call to Redis may."""

    @property
    def lease_seconds(self) -> float:
        """How long a place stays taken that nobody renews."""

    async def take(
        self, name: str, most: int, places: Collection[str], freed: Collection[str] = ()
    ) -> bool:
        """Take these places if that makes `most` of the name's at most, else none of them.

        Those that are `freed` are given back before.

        Raises:
            LogUnavailable: nobody can tell now.
        """

    async def tell(
        self, held: Mapping[str, Collection[str]], freed: Mapping[str, Collection[str]]
    ) -> None:
        """Renew what is held, however many that are, and give back what is freed; by name.

        Raises:
            LogUnavailable: nobody hears it now.
        """


class RedisPlaces:
    """Places of all replicas.

    Args:
        link: the Redis they share.
        prefix: begins every key there.
        lease_seconds: how long a place stays taken that nobody renews.
    """

    def __init__(self, link: RedisLink, prefix: str, lease_seconds: float = LEASE_SECONDS) -> None:
        self._link = link
        self._prefix = prefix
        self.lease_seconds = lease_seconds

    async def take(
        self, name: str, most: int, places: Collection[str], freed: Collection[str] = ()
    ) -> bool:
        """See `Places`."""
        commands = [*self._free(name, freed), self._put(name, most, places)]
        return bool((await self._link.ask(commands))[-1])

    async def tell(
        self, held: Mapping[str, Collection[str]], freed: Mapping[str, Collection[str]]
    ) -> None:
        """See `Places`."""
        commands = [command for name in freed for command in self._free(name, freed[name])]
        commands += [self._put(name, "", places) for name, places in held.items()]
        # A key that is something else must not keep the others from being told of.
        await self._link.ask_each(commands)

    def _put(self, name: str, most: int | str, places: Collection[str]) -> Command:
        return ("EVAL", _PUT, 1, self._key(name), int(self.lease_seconds * 1000), most, *places)

    def _free(self, name: str, places: Collection[str]) -> Iterator[Command]:
        if places:
            yield ("ZREM", self._key(name), *places)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:places:{name}"


class HeldPlaces:
    """The places that this replica holds.

    Args:
        places: where all replicas take them.
        renew_seconds: how often they are renewed.
    """

    def __init__(self, places: Places, renew_seconds: float = RENEW_SECONDS) -> None:
        self._places = places
        self._renew_seconds = renew_seconds
        self._held: dict[str, set[str]] = {}
        self._freed: dict[str, dict[str, float]] = {}
        self._news = asyncio.Event()
        self._due = 0.0
        self._crew = Crew({"places": self._work})

    async def take(self, name: str, most: int) -> Callable[[], None] | None:
        """A place among the name's `most`, as what gives it back; None if all are taken.

        While Redis does not answer nobody is refused here: each replica's own count holds.
        """
        place = token()
        free = partial(self._free, name, place)
        try:
            given = await self._ask(name, most, place)
        except asyncio.CancelledError:
            free()  # it may have been given all the same
            raise
        if not given:
            return None
        self._held.setdefault(name, set()).add(place)
        return free

    async def _ask(self, name: str, most: int, place: str) -> bool:
        pauses = iter(PAUSES)
        while True:
            try:
                # Freed here a moment ago: Redis need not have heard of it.
                given = await self._places.take(name, most, [place], [*self._freed.get(name, ())])
            except LogUnavailable:
                self._soon()
                return True
            if given or (pause := next(pauses, None)) is None:
                return given
            await asyncio.sleep(pause)

    def _free(self, name: str, place: str) -> None:
        held = self._held.get(name, set())
        held.discard(place)
        if not held:
            self._held.pop(name, None)
        freed = self._freed.setdefault(name, {})
        freed[place] = asyncio.get_running_loop().time()
        self._news.set()

    def start(self) -> None:
        """Renew from now on; `close` ends it."""
        self._crew.start()

    async def _work(self) -> None:
        """Tell at once of what is freed, and of all that is held now and then; until cancelled."""
        # One task for both, so that Redis hears of a place's end after its last renewal.
        loop = asyncio.get_running_loop()
        self._due = loop.time() + self._renew_seconds
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._due):
                    await self._news.wait()
            self._news.clear()
            if renews := loop.time() >= self._due:
                self._due = loop.time() + self._renew_seconds
            try:
                await self._tell(renews=renews)
            except LogUnavailable:
                self._soon()
                self._forget(loop.time() - self._places.lease_seconds)

    def _soon(self) -> None:
        """Tell everything anew as soon as Redis may be back: it may have forgotten all."""
        soon = asyncio.get_running_loop().time() + BREAK_SECONDS
        if soon < self._due:
            self._due = soon
            self._news.set()

    async def _tell(self, *, renews: bool) -> None:
        names = [*({**self._freed, **self._held} if renews else self._freed)]
        for at in range(0, len(names), NAMES_AT_ONCE):
            some = names[at : at + NAMES_AT_ONCE]
            freed = {name: [*self._freed[name]] for name in some if name in self._freed}
            held = {name: [*self._held[name]] for name in some if name in self._held}
            await self._places.tell(held if renews else {}, freed)
            for name, places in freed.items():
                left = self._freed[name]
                for place in places:
                    del left[place]
                if not left:
                    del self._freed[name]

    def _forget(self, before: float) -> None:
        """Forget what was freed before that: it has come free by itself."""
        for name, places in [*self._freed.items()]:
            left = {place: since for place, since in places.items() if since > before}
            if left:
                self._freed[name] = left
            else:
                del self._freed[name]

    async def close(self) -> None:
        """Give back what is left."""
        await self._crew.dismiss()
        for name, places in [*self._held.items()]:
            for place in [*places]:
                self._free(name, place)
        with suppress(LogUnavailable):
            await self._tell(renews=False)
