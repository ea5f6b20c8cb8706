"""The owner's side: what this process' runs append is appended to Redis as well, a little later.

Readers here read the logs in memory and never wait for it. When Redis was away, what it has is
looked at before anything more is written, so that what it has lost is written again from memory.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from redis.exceptions import ResponseError

from llm_stream.engine.chapters import NOWHERE, place_of
from llm_stream.engine.redislog.link import OF_ONE_KEY, Command, RedisLink
from llm_stream.engine.redislog.mirrored import Mirrored, index_behind, is_ours
from llm_stream.engine.redislog.records import Keys, events_of
from llm_stream.engine.run import Run
from llm_stream.errors import LogUnavailable

GATHER_SECONDS: Final = 0.005
"""What is appended within so long is sent together."""

RUN_EVENTS: Final = 64
"""Most events of one run in one call."""

CALL_EVENTS: Final = 512
"""Most events in one call."""

CHECKED_AT_ONCE: Final = 100

RETRY_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class LogMirror:
    """Appends the events of this process' runs to Redis.

    Args:
        link: the way there.
        keys: names.
        replica: this process.
        retention_ms: how long an ended run's log stays.
        audience: replicas that follow a run, to be told that there is more.
        superseded: told of a run that another replica has taken over.
        at_end: what else to do in Redis when a run has ended.

    Attributes:
        refusing, refusals: what Redis says while it takes no writes (full, read-only), else "";
            how often it did.
    """

    def __init__(  # noqa: PLR0913 - who it works for
        self,
        link: RedisLink,
        keys: Keys,
        replica: str,
        *,
        retention_ms: int,
        audience: Callable[[str], Iterable[str]],
        superseded: Callable[[Run], None],
        at_end: Callable[[Run], list[Command]],
    ) -> None:
        self._link = link
        self._keys = keys
        self._replica = replica
        self._retention_ms = retention_ms
        self._audience = audience
        self._superseded = superseded
        self._at_end = at_end
        self._specs: dict[str, bytes] = {}
        self._runs: dict[str, Mirrored] = {}
        self._behind: dict[str, Mirrored] = {}
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self.refusing = ""
        self.refusals = 0

    @property
    def behind(self) -> int:
        """Runs of which Redis lacks events."""
        return len(self._behind)

    def keep_spec(self, run_id: str, spec: bytes) -> None:
        """How to run again a run that will be added."""
        self._specs[run_id] = spec

    def add(self, run: Run) -> None:
        """Mirror a run from its beginning, or from where Redis has it, to its end."""
        known = self._runs.get(run.id)
        if known is None or known.run is not run:
            mirrored = Mirrored(run, self._specs.pop(run.id, b""))
            mirrored.unsure = run.log.last.epoch > 1
            self._runs[run.id] = self._behind[run.id] = mirrored
            self._wanted.set()

    def has(self, run_id: str) -> bool:
        """Whether that run is not yet written to its end."""
        return run_id in self._runs

    def check(self, runs: Iterable[Run]) -> None:
        """Redis may have lost of these runs, and of those not yet ended, what was written."""
        for run in runs:
            if is_ours(run):
                self._runs.setdefault(run.id, Mirrored(run))
        for mirrored in self._runs.values():
            mirrored.unsure = True
            self._behind[mirrored.run.id] = mirrored
        self._wanted.set()

    async def work(self) -> None:
        """Write until cancelled."""
        self.check(())  # after a fault it is not known what was written
        while True:
            await self._wanted.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._wanted.clear()
            try:
                while self._behind:
                    await self._write(self._next())
            except LogUnavailable:
                self._settled.set()
                self.check(())
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._settled.set()

    async def catch_up(self) -> None:
        """Return when all is written or cannot be, after two seconds at most."""
        self._settled.clear()
        self._wanted.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * RETRY_SECONDS):
                await self._settled.wait()
        if self._behind:
            log.warning("redis.left_behind: %d runs", len(self._behind))

    def _next(self) -> list[Mirrored]:
        """Runs to write in one call, those that waited longest first, with their events."""
        chosen: list[Mirrored] = []
        size = 0
        unsure = next(iter(self._behind.values())).unsure
        for mirrored in self._behind.values():
            if mirrored.unsure != unsure or size >= CALL_EVENTS or len(chosen) >= CHECKED_AT_ONCE:
                break
            chosen.append(mirrored)
            if not unsure:
                mirrored.events = mirrored.run.log.slice(mirrored.index, limit=RUN_EVENTS)
                size += len(mirrored.events)
        return chosen

    async def _write(self, chosen: list[Mirrored]) -> None:
        if chosen[0].unsure:
            await self._look(chosen)
            return
        commands: list[Command] = []
        spans: list[tuple[Mirrored, int, int]] = []
        for mirrored in chosen:
            start = len(commands)
            commands += self._commands(mirrored)
            spans.append((mirrored, start, len(commands)))
        replies = await self._link.send(commands) if commands else []
        for mirrored, start, end in spans:
            if not self._has(mirrored):
                continue
            refusals = [r for r in replies[start:end] if isinstance(r, ResponseError)]
            if not refusals:
                self._written(mirrored)
            elif "equal or smaller" in str(refusals[0]):
                # Ours, of a call whose reply was lost; or a new owner's.
                mirrored.unsure = True
            else:
                self._refused(mirrored, str(refusals[0]))
        self.refusing = ""

    def _commands(self, mirrored: Mirrored) -> list[Command]:
        run = mirrored.run
        commands = mirrored.commands(self._keys, self._replica, self._retention_ms)
        if mirrored.events:
            ring = b'{"ring":"%b"}' % run.id.encode()
            commands += [
                ("PUBLISH", self._keys.inbox(replica), ring) for replica in self._audience(run.id)
            ]
        return commands + self._at_end(run) if mirrored.ends else commands

    def _written(self, mirrored: Mirrored) -> None:
        run = mirrored.run
        mirrored.index += len(mirrored.events)
        mirrored.described = True
        mirrored.events = []
        del self._behind[run.id]
        if mirrored.index < len(run.log):
            self._behind[run.id] = mirrored
        elif run.done:
            del self._runs[run.id]
        else:
            run.log.notify(lambda: self._wake(mirrored))

    def _wake(self, mirrored: Mirrored) -> None:
        if self._has(mirrored):
            self._behind[mirrored.run.id] = mirrored
            self._wanted.set()

    def _has(self, mirrored: Mirrored) -> bool:
        """Not, once a run that came back has its place."""
        return self._runs.get(mirrored.run.id) is mirrored

    async def _look(self, chosen: list[Mirrored]) -> None:
        """See what Redis has of these runs, to go on behind it."""
        questions = [mirrored.questions(self._keys, self._replica) for mirrored in chosen]
        replies = iter(await self._link.send([ask for asked in questions for ask in asked]))
        for mirrored, asked in zip(chosen, questions, strict=True):
            reply, *signs = [next(replies) for _ in asked]
            if not self._has(mirrored):
                continue
            refusals = [r for r in (reply, *signs) if isinstance(r, ResponseError)]
            if refusals:
                self._refused(mirrored, str(refusals[0]))
                continue
            run, found = mirrored.run, events_of(reply)
            place = place_of(found[-1]) if found else NOWHERE
            mirrored.unsure = False
            del self._behind[run.id]
            index = index_behind(place, run)
            if index is None:
                del self._runs[run.id]
                if is_ours(run):
                    self._superseded(run)
                continue
            mirrored.index = index
            mirrored.described = all(signs)
            self._behind[run.id] = mirrored

    def _refused(self, mirrored: Mirrored, why: str) -> None:
        self.refusals += 1
        if OF_ONE_KEY in why:
            # Others are not to wait for it. It is tried again when all are.
            log.error("redis.set_aside: %s: %s", mirrored.run.id, why)
            del self._behind[mirrored.run.id], self._runs[mirrored.run.id]
            return
        if not self.refusing:
            log.warning("redis.refused: %s", why)
        self.refusing = why
        raise LogUnavailable("The shared log takes no events now.", retry_after_ms=1000)
