"""This process as one of several replicas: it mirrors its runs and follows those of others."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace

from ulid import ULID

from llm_stream.engine.redislog.audience import Audience
from llm_stream.engine.redislog.claimants import Claimants
from llm_stream.engine.redislog.crew import Crew
from llm_stream.engine.redislog.desk import Desk
from llm_stream.engine.redislog.elsewhere import RemoteRuns
from llm_stream.engine.redislog.flights import RedisFlights
from llm_stream.engine.redislog.idempotency import RedisIdempotency
from llm_stream.engine.redislog.link import Command, RedisLink
from llm_stream.engine.redislog.mirror import LogMirror
from llm_stream.engine.redislog.mirrored import is_ours
from llm_stream.engine.redislog.notes import RedisNotes
from llm_stream.engine.redislog.post import Post
from llm_stream.engine.redislog.records import Keys, Record
from llm_stream.engine.redislog.remote import HandedOver
from llm_stream.engine.redislog.succession import Succession
from llm_stream.engine.redislog.tail import LogTail
from llm_stream.engine.redislog.takeover import Policy, Watch, confirm_seconds
from llm_stream.engine.redislog.vanished import Vanished
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import DescribeError
from llm_stream.errors import LogUnavailable

log = logging.getLogger(__name__)


class Replicas:
    """Other replicas' runs for this one's clients, and this one's for theirs.

    Args:
        link: the way to Redis; closed by `close`.
        prefix: of all keys.
        registry: runs of this process.
        retention_seconds: how long an ended run's log stays.
        lost_seconds: after how long at most a replica that says nothing is lost.
        policy: what becomes of a lost replica's runs.
        describe_error: makes the problem object of `run.failed`.

    Attributes:
        id: of this replica, new with every start.
        idempotency: keys that any replica knows.
        notes: what is noted of runs beside their logs.
        succession: hands over to its heir what is taken over.
    """

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        link: RedisLink,
        prefix: str,
        registry: RunRegistry,
        *,
        retention_seconds: float,
        lost_seconds: float,
        policy: Policy,
        describe_error: DescribeError,
    ) -> None:
        self.id = f"r_{ULID()}".lower()
        self.link = link
        self._keys = Keys(prefix)
        self._registry = registry
        self._alive_ms = int(lost_seconds * 500)
        self._pulse_seconds = lost_seconds / 12
        self._incarnation = ""
        self._post = Post(link, self._keys, self.id)
        self._audience = Audience(registry.get, time.monotonic, lambda: link.broken)
        self.tail = LogTail(link, self._keys)
        self.remote = RemoteRuns(link, self._keys, self._post, self.tail)
        self.succession = Succession(registry, self.remote, self.tail)
        self.mirror = LogMirror(
            link,
            self._keys,
            self.id,
            retention_ms=int(retention_seconds * 1000),
            audience=self._audience.of,
            superseded=self._hand_over,
            at_end=lambda run: self.flights.ended(run),  # noqa: PLW0108 - made below
        )
        self.flights = RedisFlights(
            link,
            self._keys,
            self.id,
            self._post,
            open_run=self.remote.open,
            keep_spec=self.mirror.keep_spec if policy == "restart" else None,
        )
        self.idempotency = RedisIdempotency(
            link, self._keys, self._post, int(retention_seconds * 1000)
        )
        self.notes = RedisNotes(link, self._keys, self._post, int(retention_seconds * 2000))
        self.watch = Watch(
            link,
            self._keys,
            self.id,
            confirm_seconds=confirm_seconds(lost_seconds),
            policy=policy,
            retention_ms=int(retention_seconds * 1000),
            describe_error=describe_error,
            followed=self._followed,
            works_on=self._works_on,
            on_taken=self.succession.begin,
        )
        self._vanished = Vanished(
            link,
            self._keys,
            wait_seconds=confirm_seconds(lost_seconds),
            followed=self._followed,
            ask=lambda known: self._post.ask(known.replica, "follow", runs=[known.info.id]),
            end=lambda known: self.watch.take(known.info.id, known.replica, known, "fail"),
        )
        self._claimants = Claimants(link, self._keys, registry.get, time.monotonic)
        Desk(registry, self._audience, self._claimants, self.tail).answer(self._post)
        registry.on_added = self.mirror.add
        self._crew = Crew(
            {
                "mirror": self.mirror.work,
                "tail": self.tail.work,
                "post": self._post.deliver,
                "inbox": self._post.listen,
                "pulse": self._live,
                "watch": self._watch,
            }
        )

    @property
    def durable(self) -> bool:
        """Whether Redis takes what runs say, and all that brings it there is at work."""
        return not (self.link.broken or self.mirror.refusing or self._crew.down)

    def describe(self) -> dict[str, object]:
        """How sharing goes, for /health."""
        return {
            "id": self.id,
            "redis": self.mirror.refusing or ("no answer" if self.link.broken else "ok"),
            "runs_behind": self.mirror.behind,
            "runs_followed": len(self.tail.runs),
            "runs_taken_over": self.watch.taken,
        }

    def start(self) -> None:
        """Begin to write, to follow and to listen; `close` ends it."""
        self._crew.start()

    async def close(self) -> None:
        """Write what is left, for two seconds at most, and take leave."""
        await self.mirror.catch_up()
        await self._crew.dismiss()
        farewell: list[Command] = [("DEL", self._keys.alive(self.id))]
        try:
            if not (self.mirror.behind or await self.watch.adrift()):
                # Else the others take over, and end, what could not be written to its end.
                farewell += [
                    ("DEL", self._keys.working(self.id)),
                    ("SREM", self._keys.replicas, self.id),
                ]
            await self.link.send(farewell)
        except LogUnavailable:
            log.info("redis.no_farewell")
        await self.link.close()

    async def _live(self) -> None:
        """Renew what has to be renewed, until cancelled."""
        while True:
            try:
                await self._renew()
                await self._claimants.look()
            except LogUnavailable as error:
                # Where this one cannot renew, others cannot either, and are not lost.
                self.watch.forget()
                log.debug("redis.not_renewed: %s", error)
            self._audience.expire()
            await self._follow_owners()
            await asyncio.sleep(self._pulse_seconds)

    async def _watch(self) -> None:
        """Look after the others, until cancelled; apart from `_live`, for burying takes long."""
        while True:
            await asyncio.sleep(self._pulse_seconds)
            if self._registry.draining:
                continue
            try:
                await self.watch.look()
                await self._vanished.look()
            except LogUnavailable as error:
                self.watch.forget()
                log.debug("redis.not_watched: %s", error)

    def _followed(self) -> list[Record]:
        # What was read may be of an owner later than the one that is known.
        return [
            replace(run.known, epoch=max(run.known.epoch, run.log.last.epoch))
            for run in self.tail.runs.values()
            if run.known
        ]

    async def _follow_owners(self) -> None:
        """Tell each owner which of its runs have readers here; find out who the owner is now."""
        following: dict[str, list[str]] = {}
        for run in [*self.tail.runs.values()]:
            if run.known is None or run.known.epoch < run.log.last.epoch:
                with suppress(LogUnavailable):
                    await self.remote.look_again(run)
            if run.known is not None and run.readers:
                following.setdefault(run.known.replica, []).append(run.id)
        for replica, runs in following.items():
            self._post.tell(replica, "follow", runs=runs)

    async def _renew(self) -> None:
        _, newly = await self.link.ask(
            [
                ("SET", self._keys.alive(self.id), "1", "PX", self._alive_ms),
                ("SADD", self._keys.replicas, self.id),
            ]
        )
        # Not every provider lets its customers ask.
        (server,) = await self.link.send([("INFO", "server")])
        incarnation = str(server.get("run_id")) if isinstance(server, dict) else "?"
        if self._incarnation and (newly or incarnation != self._incarnation):
            # Another Redis, or one that has forgotten us: it may lack any of our runs.
            self.mirror.check(self._registry.added())
            self.watch.forget()
        self._incarnation = incarnation

    def _hand_over(self, run: Run) -> None:
        log.warning("run.superseded: %s", run.id)
        run.hand_over()
        self._audience.forget(run.id)
        if run.done:
            # It had ended here, which nobody else will be told: from now on what they are told is.
            self._registry.forget(run)
        self.tail.follow(HandedOver(run))

    def _works_on(self, run_id: str) -> bool:
        run = self._registry.get(run_id)
        return (run is not None and is_ours(run)) or self.mirror.has(run_id)
