"""This process as one of several replicas: it mirrors its runs and follows those of others."""

import asyncio
import logging
import time
from typing import Any, Final
from weakref import WeakValueDictionary

from ulid import ULID

from llm_stream.engine.chapters import parse_cursor
from llm_stream.engine.redislog.audience import Audience
from llm_stream.engine.redislog.desk import Desk
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.mirror import LogMirror
from llm_stream.engine.redislog.post import Post
from llm_stream.engine.redislog.records import Keys, Record
from llm_stream.engine.redislog.remote import HandedOver, RemoteRun
from llm_stream.engine.redislog.tail import LogTail
from llm_stream.engine.redislog.takeover import Policy, Watch
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import DescribeError
from llm_stream.errors import LogUnavailable, RunExpired, UnknownRun
from llm_stream.events import Event

PAUSES: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds between looks for a run whose owner may not have shared it yet."""

NEW_SECONDS: Final = 10.0
"""A run whose id was made this recently may be one; clocks may differ by as much."""

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
        self._tasks: list[asyncio.Task[None]] = []
        self._known: WeakValueDictionary[str, RemoteRun] = WeakValueDictionary()
        self._incarnation = ""
        self._post = Post(link, self._keys, self.id)
        self._audience = Audience(registry.get, time.monotonic)
        self.tail = LogTail(link, self._keys)
        self.mirror = LogMirror(
            link,
            self._keys,
            self.id,
            retention_ms=int(retention_seconds * 1000),
            audience=self._audience.of,
            superseded=self._hand_over,
        )
        self.watch = Watch(
            link,
            self._keys,
            self.id,
            confirm_seconds=lost_seconds / 4,
            policy=policy,
            retention_ms=int(retention_seconds * 1000),
            describe_error=describe_error,
            followed=lambda: [run.known for run in self.tail.runs.values() if run.known],
            on_taken=self._on_taken,
        )
        Desk(registry, self._audience, self.tail).answer(self._post)
        registry.on_added = self.mirror.add

    @property
    def durable(self) -> bool:
        """Whether Redis takes what runs say."""
        return not (self.link.broken or self.mirror.refusing)

    def start(self) -> None:
        """Begin to write, to follow and to listen; `close` ends it."""
        parts = {
            "mirror": self.mirror.work(),
            "tail": self.tail.work(),
            "post": self._post.deliver(),
            "inbox": self._post.listen(),
            "pulse": self._live(),
        }
        for name, work in parts.items():
            task = asyncio.create_task(work, name=f"replicas-{name}")
            task.add_done_callback(_report)
            self._tasks.append(task)

    async def close(self) -> None:
        """Write what is left, for two seconds at most, and take leave."""
        await self.mirror.catch_up()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.link.send(
                [
                    ("DEL", self._keys.alive(self.id)),
                    ("DEL", self._keys.working(self.id)),
                    ("SREM", self._keys.replicas, self.id),
                ]
            )
        except LogUnavailable:
            log.info("redis.no_farewell")
        await self.link.close()

    async def _live(self) -> None:
        """Renew what has to be renewed, until cancelled."""
        while True:
            try:
                await self._renew()
                await self.watch.look()
            except LogUnavailable as error:
                self.watch.forget()
                log.debug("redis.not_renewed: %s", error)
            self._audience.expire()
            self._say_what_is_followed()
            await asyncio.sleep(self._pulse_seconds)

    def _say_what_is_followed(self) -> None:
        following: dict[str, list[str]] = {}
        for run in self.tail.runs.values():
            if run.known is not None:
                following.setdefault(run.known.replica, []).append(run.id)
        for replica, runs in following.items():
            self._post.tell(replica, "follow", runs=runs)

    async def _renew(self) -> None:
        _, newly, server = await self.link.send(
            [
                ("SET", self._keys.alive(self.id), "1", "PX", self._alive_ms),
                ("SADD", self._keys.replicas, self.id),
                ("INFO", "server"),
            ]
        )
        incarnation = f"{server.get('run_id')}" if isinstance(server, dict) else ""
        if self._incarnation and (newly or incarnation != self._incarnation):
            # Another Redis, or one that has forgotten us: it may lack any of our runs.
            self.mirror.check(self._registry.everything())
            self.watch.forget()
        self._incarnation = incarnation

    async def open(self, run_id: str, owner: str, after: str) -> Run:
        """See `Elsewhere.open`."""
        run = self._known.get(run_id)
        if run is None or run.info.owner != owner or not run.done:
            run = await self._load(run_id, owner)
        self.tail.follow(run)
        if not run.reached(after):
            answer = await self._post.ask(run.known.replica, "follow", runs=[run.id])
            told = answer and parse_cursor(answer.get("last", ""))
            run.ahead = told or parse_cursor(after) or run.ahead
        return run

    async def _load(self, run_id: str, owner: str) -> RemoteRun:
        record = await self._record(run_id)
        if record is None or record.info.owner != owner:
            raise UnknownRun(
                f"There is no run {run_id[:64]!r}. Use an id from X-Run-Id or GET /v1/runs.",
                field="run",
            )
        run = self._known.get(run_id) or self._make(record)
        run.known = record
        await self.tail.fill(run)
        if not len(run.log) and record.ended:
            raise RunExpired(
                f"The events of {run_id} are no longer kept. Start the run again.", field="run"
            )
        if not run.done:
            self._post.tell(record.replica, "follow", runs=[run_id])
        return run

    async def _record(self, run_id: str) -> Record | None:
        """What Redis knows of a run; waits a little for one that has just begun."""
        pauses = PAUSES if _is_new(run_id) else ()
        for pause in (*pauses, None):
            (reply,) = await self.link.send([("HGETALL", self._keys.facts(run_id))])
            record = Record.read(reply)
            if record is not None or pause is None:
                break
            await asyncio.sleep(pause)
        return record

    def _make(self, record: Record) -> RemoteRun:
        def tell(do: str, **facts: Any) -> None:
            self._post.tell(run.known.replica, do, run=run.id, **facts)

        run = self._known[record.info.id] = RemoteRun(record, tell, self.tail.follow)
        return run

    async def release(self, run: Run, claim: str | None) -> dict[str, object] | None:
        """See `Elsewhere.release`."""
        if run.done or not isinstance(run, RemoteRun):
            return None
        answer = await self._post.ask(run.known.replica, "release", run=run.id, claim=claim)
        return answer and {"state": answer["state"], "shared": answer["shared"]}

    def _hand_over(self, run: Run) -> None:
        log.warning("run.superseded: %s", run.id)
        run.hand_over()
        self.tail.follow(HandedOver(run))

    def _on_taken(self, record: Record, event: Event) -> None:
        if run := self._known.get(record.info.id):
            run.known = record
        self.tail.ring(record.info.id)


def _is_new(run_id: str) -> bool:
    try:
        made_at = ULID.from_str(run_id.removeprefix("run_")).timestamp
    except ValueError:
        return False
    return abs(time.time() - made_at) < NEW_SECONDS


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s crashed", task.get_name(), exc_info=error)
