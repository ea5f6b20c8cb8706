"""Single-flight across replicas: equal calls under way share one run, wherever they came in.

A lease says which replica works on a call. It has no short life of its own that could end
before the run does: it holds for as long as its holder lives and, when asked, says that it has
the run. So it needs no renewal, and a jump of a clock frees nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from weakref import WeakValueDictionary

from llm_stream.engine.redislog import leases
from llm_stream.engine.redislog.link import Command, RedisLink
from llm_stream.engine.redislog.post import Message, Post
from llm_stream.engine.redislog.records import LIVE_MS, Keys
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client
from llm_stream.errors import LogUnavailable, RunExpired, UnknownRun

PAUSES: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds between questions to a holder without such a run: it is about to start, or has ended."""

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
        self._held: WeakValueDictionary[str, Run] = WeakValueDictionary()
        self.keep_spec = keep_spec
        self.joined = 0

    async def join(
        self, key: str, client: Client, owner: str, marks: Mapping[str, int]
    ) -> Run | None:
        """See `Flights.join`; where Redis does not answer, each replica works for itself."""
        # A run of this call that ends while we ask must not free the lease for the next one.
        self._held.pop(key, None)
        to_lose = ""
        pauses = iter(() if client.inner else PAUSES)
        while True:
            try:
                holder = await self._claim(key, to_lose)
                if holder == self._replica:
                    return None
                if to_lose:
                    return None  # somebody else was faster; one more call is cheaper than a circle
                answer = await self._ask(holder, key, client, marks)
                run = await self._join(holder, answer, client, owner)
            except LogUnavailable:
                return None
            if run is not None:
                return run
            # Who does not answer, or works on what is void, will not be about to start it.
            waits = answer is not None and "outdated" not in answer
            pause = next(pauses, None) if waits else None
            if pause is None:
                to_lose = holder
            else:
                await asyncio.sleep(pause)

    async def claim(self, key: str) -> bool:
        """See `Flights.claim`."""
        self._held.pop(key, None)
        try:
            return await self._claim(key, "") == self._replica
        except LogUnavailable:
            return False

    async def _claim(self, key: str, to_lose: str) -> str:
        command = leases.take(self._keys.flight(key), self._replica, to_lose, LIVE_MS)
        (holder,) = await self._link.ask([command])
        name: str = holder.decode()
        if name in {self._replica, to_lose}:
            return name
        (lives,) = await self._link.ask([("EXISTS", self._keys.alive(name))])
        return name if lives else await self._claim(key, name)

    async def _ask(
        self, holder: str, key: str, client: Client, marks: Mapping[str, int]
    ) -> Message | None:
        """Ask to join; without an answer the holder is told to forget it, should it hear late."""
        answer = None
        try:
            answer = await self._post.ask(
                holder, "join", key=key, claim=client.claim,
                abandon_seconds=client.abandon_seconds, inner=client.inner, marks=marks,
            )  # fmt: skip
        finally:
            if answer is None:
                self._post.tell(holder, "forget", key=key, claim=client.claim)
        return answer

    async def _join(
        self, holder: str, answer: Message | None, client: Client, owner: str
    ) -> Run | None:
        """The run of the holder's answer; if it cannot be read here, nobody here wants it."""
        if not answer or "run" not in answer:
            return None
        run = None
        try:
            run = await self._open(answer["run"], owner)
        except (UnknownRun, RunExpired):
            return None
        finally:
            if run is None:
                self._post.tell(holder, "forget", run=answer["run"], claim=client.claim)
        self.joined += 1
        return run

    def hold(self, key: str, run: Run) -> None:
        """See `Flights.hold`."""
        self._held[key] = run

    def release(self, key: str) -> None:
        """See `Flights.release`; the lease stays if another run of this process has it."""
        if key not in self._held:
            self._post.send(self._free(key))

    def ended(self, run: Run) -> list[Command]:
        """What frees the lease on the run's call, if it is this run that holds it."""
        key = run.info.key
        return [self._free(key)] if self._held.get(key) is run else []

    def _free(self, key: str) -> Command:
        return leases.free(self._keys.flight(key), self._replica)
