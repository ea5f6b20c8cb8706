"""Single-flight across replicas: equal calls under way share one run, wherever they came in.

A lease says which replica works on a call. It has no short life of its own that could end
before the run does: it holds for as long as its holder lives and, when asked, says that it has
the run. So it needs no renewal, and a jump of a clock frees nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from llm_stream.engine.redislog.link import Command, RedisLink
from llm_stream.engine.redislog.post import Post
from llm_stream.engine.redislog.records import LIVE_MS, Keys
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client
from llm_stream.errors import LogUnavailable, RunExpired, UnknownRun

PAUSES: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds between questions to a holder without such a run: it is about to start, or has ended."""

_CLAIM: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return ARGV[1]
"""
"""Take the lease if it is free, or if it is still with the holder that is to lose it."""

_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

Open = Callable[[str, str], Awaitable[Run]]


class RedisFlights:
    """Leases on calls.

    Args:
        link: the way to Redis.
        keys: names.
        replica: this one.
        post: reaches the others.
        open_run: finds a run of another replica by id and owner.
        keep_spec: told how to run each run again, before it is added; None: nobody wants to know.
    """

    def __init__(  # noqa: PLR0913 - what a lease needs
        self,
        link: RedisLink,
        keys: Keys,
        replica: str,
        post: Post,
        *,
        open_run: Open,
        keep_spec: Callable[[str, bytes], None] | None,
    ) -> None:
        self._link = link
        self._keys = keys
        self._replica = replica
        self._post = post
        self._open = open_run
        self._held: set[str] = set()
        self.keep_spec = keep_spec
        self.joined = 0

    async def join(self, key: str, client: Client, owner: str) -> Run | None:
        """The run of another replica that works on this call, joined.

        None: it is to be started here; then call `release` should that fail. So it is also when
        Redis does not answer: then each replica works for itself.
        """
        to_lose = ""
        pauses = iter(() if client.inner else PAUSES)
        while True:
            try:
                holder = await self._claim(key, to_lose)
                if holder == self._replica:
                    self._held.add(key)
                    return None
                if to_lose:
                    return None  # somebody else was faster; one more call is cheaper than a circle
                run = await self._join(holder, key, client, owner)
            except LogUnavailable:
                return None
            if run is not None:
                return run
            pause = next(pauses, None)
            if pause is None:
                to_lose = holder
            else:
                await asyncio.sleep(pause)

    async def _claim(self, key: str, to_lose: str) -> str:
        command: Command = (
            "EVAL", _CLAIM, 1, self._keys.flight(key), self._replica, to_lose, LIVE_MS
        )  # fmt: skip
        (holder,) = await self._link.ask([command])
        name: str = holder.decode()
        if name in {self._replica, to_lose}:
            return name
        (lives,) = await self._link.ask([("EXISTS", self._keys.alive(name))])
        return name if lives else await self._claim(key, name)

    async def _join(self, holder: str, key: str, client: Client, owner: str) -> Run | None:
        answer = await self._post.ask(
            holder, "join", key=key, claim=client.claim,
            abandon_seconds=client.abandon_seconds, inner=client.inner,
        )  # fmt: skip
        if not answer or "run" not in answer:
            return None
        try:
            run = await self._open(answer["run"], owner)
        except (UnknownRun, RunExpired):
            return None
        self.joined += 1
        return run

    def release(self, key: str) -> None:
        """The run was not started after all."""
        for command in self.ended(key):
            self._post.send(command)

    def ended(self, key: str) -> list[Command]:
        """What frees the lease on a call that has ended, if this replica has it."""
        if key not in self._held:
            return []
        self._held.discard(key)
        return [("EVAL", _RELEASE, 1, self._keys.flight(key), self._replica)]
