"""Replicas that are gone: noticed by every other one, and each of their runs taken over by one.

A replica is gone when its sign of life has expired and stays away while Redis answers. Redis'
own clock judges the sign, and a jump of it, a stall or a restart without data make no replica lost:
the living renew theirs before the wait is over.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final, Literal

import orjson

from llm_stream.engine.chapters import place_of
from llm_stream.engine.redislog.link import BREAK_SECONDS, RedisLink
from llm_stream.engine.redislog.records import (
    LIVE_MS,
    TOMBSTONE_MS,
    Keys,
    Record,
    events_of,
    read_last,
)
from llm_stream.engine.runinfo import DescribeError, State
from llm_stream.errors import LogUnavailable, OwnerLost
from llm_stream.events import Event, encoded, kind_of, position_of, t_ms_of
from llm_stream.payloads import RunRestarted

Policy = Literal["fail", "restart"]
"""What becomes of a lost replica's run: it fails, or is run again under its id."""

RESTARTS: Final = 3
"""How often one run is run again: it may be what its replicas die of."""

_TAKE: Final = """
local owner = redis.call('HGET', KEYS[2], 'replica')
local state = redis.call('HGET', KEYS[2], 'state')
if owner and (owner ~= ARGV[1] or (state ~= 'running' and state ~= 'queued')) then return 0 end
redis.call('XADD', KEYS[1], ARGV[4], 't', ARGV[5], 'd', ARGV[6])
redis.call('HSET', KEYS[2], 'replica', ARGV[2], 'epoch', ARGV[3], 'state', ARGV[7],
  'info', ARGV[8], 'statistics', ARGV[9])
if ARGV[7] == 'failed' then redis.call('HSET', KEYS[2], 'spec', '') end
redis.call('PEXPIRE', KEYS[1], ARGV[10])
redis.call('PEXPIRE', KEYS[2], ARGV[11])
return 1
"""
"""One taker wins: the second finds another owner. From here on Redis refuses the old epoch."""

log = logging.getLogger(__name__)


def confirm_seconds(lost_seconds: float) -> float:
    """How long a sign of life has to be missing before its replica is lost.

    A quarter of the time, but so long that one who lives has renewed it: its heartbeat waits for a
    breaker when a call of its has failed, and may then have just missed its turn.
    """
    return max(lost_seconds / 4, 2 * BREAK_SECONDS)


class Watch:
    """Looks after the other replicas.

    Args:
        link: the way to Redis.
        keys: names.
        replica: this one.
        confirm_seconds: how long a sign of life has to be missing.
        policy: what becomes of a lost run.
        retention_ms: how long the log of a run that ends here stays.
        describe_error: makes the problem object of `run.failed`.
        followed: runs of others that have readers here.
        works_on: whether this replica has that run, at work or not yet written to its end.
        on_taken: told of each run that is this replica's now.
        clock: monotonic seconds.

    Attributes:
        taken: runs taken over so far.
    """

    def __init__(  # noqa: PLR0913 - what a takeover needs
        self,
        link: RedisLink,
        keys: Keys,
        replica: str,
        *,
        confirm_seconds: float,
        policy: Policy,
        retention_ms: int,
        describe_error: DescribeError,
        followed: Callable[[], Iterable[Record]],
        works_on: Callable[[str], bool],
        on_taken: Callable[[Record], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._keys = keys
        self._replica = replica
        self._confirm_seconds = confirm_seconds
        self._policy = policy
        self._retention_ms = retention_ms
        self._describe_error = describe_error
        self._followed = followed
        self._works_on = works_on
        self._on_taken = on_taken
        self._clock = clock
        self._missing: dict[str, float] = {}
        self._unbegun: list[Record] = []
        self.taken = 0

    def forget(self) -> None:
        """Redis was away or took no signs: who seems to be missing may live."""
        self._missing.clear()

    async def look(self) -> None:
        """Look at every replica, and take over what the lost ones have left.

        Raises:
            LogUnavailable: Redis does not answer; nobody is lost by that.
        """
        while self._unbegun:
            await self._begin(self._unbegun.pop())
        await self._look_at_others()
        for record in await self.adrift():
            log.warning("run.adrift: %s", record.info.id)
            await self._begin(record)

    async def adrift(self) -> list[Record]:
        """Runs that are this replica's and that nothing here works on.

        So it is with one that was taken over in a call whose reply was lost. What turns out
        not to be this replica's, or cannot be read, is not looked at again.

        Raises:
            LogUnavailable: Redis does not answer.
        """
        found, strays = [], []
        for run in await self._runs_of(self._replica):
            if self._works_on(run):
                continue
            record, _ = await self._read(run)
            if record is None or record.ended or record.replica != self._replica:
                strays.append(run)
            elif not self._works_on(run):
                found.append(record)
        if strays:
            await self._link.ask([("SREM", self._keys.working(self._replica), *strays)])
        return found

    async def _runs_of(self, replica: str) -> set[str]:
        (members,) = await self._link.ask_each([("SMEMBERS", self._keys.working(replica))])
        return {run.decode() for run in members or ()}

    async def _read(
        self, run: str, known: Record | None = None
    ) -> tuple[Record | None, list[Event]]:
        """A run's record, what was known of it if there is none any more, and its newest event.

        Nothing of one whose keys hold something else.
        """
        facts, last = await self._link.ask_each(
            [("HGETALL", self._keys.facts(run)), read_last(self._keys, run)]
        )
        if facts is None or last is None:
            # Others are not to wait for it, and nobody can write its end.
            log.error("run.given_up: %s: a key of it holds something else", run)
            return None, []
        return Record.read(facts) or known, events_of(last)

    async def _look_at_others(self) -> None:
        (members,) = await self._link.ask([("SMEMBERS", self._keys.replicas)])
        others = {name.decode() for name in members} | {run.replica for run in self._followed()}
        if not (names := sorted(others - {self._replica})):
            return
        signs = await self._link.ask([("EXISTS", self._keys.alive(name)) for name in names])
        now = self._clock()
        missing = {name for name, sign in zip(names, signs, strict=True) if not sign}
        self._missing = {name: self._missing.get(name, now) for name in missing}
        for name, since in [*self._missing.items()]:
            if now - since >= self._confirm_seconds:
                await self._bury(name)
                del self._missing[name]

    async def _bury(self, lost: str) -> None:
        followed = {run.info.id: run for run in self._followed() if run.replica == lost}
        runs = await self._runs_of(lost) | set(followed)
        log.warning("replica.lost: %s with %d runs", lost, len(runs))
        for run in sorted(runs):
            await self.take(run, lost, followed.get(run), self._policy)
        await self._link.ask(
            [("DEL", self._keys.working(lost)), ("SREM", self._keys.replicas, lost)]
        )

    async def take(self, run: str, lost: str, known: Record | None, policy: Policy) -> None:
        """Take over the run of `lost`, unless another has; `known` stands for a missing record."""
        record, newest = await self._read(run, known)
        if record is None or record.ended or record.replica != lost:
            return
        epoch = max(record.epoch, place_of(newest[-1]).epoch if newest else 0) + 1
        restart = policy == "restart" and bool(record.spec) and record.info.parent is None
        restart = restart and epoch <= 1 + RESTARTS
        event = self._last_word(record, epoch, restart=restart)
        state: State = "running" if restart else "failed"
        figures = {**record.statistics, "state": state, "total_ms": t_ms_of(event)}
        taken = replace(record, replica=self._replica, epoch=epoch, state=state, statistics=figures)
        if restart:
            # Before it is ours: were this process to die in between, others would find it.
            await self._link.ask_each([("SADD", self._keys.working(self._replica), run)])
        keys = self._keys.log(run), self._keys.facts(run)
        stays_ms = LIVE_MS if restart else self._retention_ms
        (won,) = await self._link.ask(
            [("EVAL", _TAKE, 2, *keys, lost, self._replica, epoch,
              position_of(event), kind_of(event), event, taken.state,
              orjson.dumps(taken.info._asdict()), orjson.dumps(taken.statistics),
              stays_ms, stays_ms + TOMBSTONE_MS)]
        )  # fmt: skip
        if won:
            self.taken += lost != self._replica
            await self._begin(taken)

    async def _begin(self, taken: Record) -> None:
        """Go on with a run that is ours now; one that cannot be gone on with is ended."""
        try:
            await self._on_taken(taken)
        except LogUnavailable:
            if taken.ended:
                self._unbegun.append(taken)
            raise  # what goes on is found adrift when Redis is back
        except Exception:
            if taken.ended:
                raise
            # Whatever is wrong with it: its readers would wait for ever.
            log.exception("run.not_restarted: %s", taken.info.id)
            await self.take(taken.info.id, self._replica, taken, "fail")

    def _last_word(self, record: Record, epoch: int, *, restart: bool) -> Event:
        info = record.info
        t_ms = max(0, int((time.time() - info.created_at) * 1000))
        if not restart:
            error = OwnerLost(
                "The replica that worked on this run, or what it has said, is gone. Ask again.",
                retry_after_ms=0,
                run=info.id,
            )
            problem = self._describe_error(error, run=info.id, request=info.request)
            return encoded(epoch, 1, info.id, t_ms, {"type": "run.failed", "error": problem})
        payload = RunRestarted(type="run.restarted", reason="owner_lost")
        return encoded(epoch, 1, info.id, t_ms, payload)
