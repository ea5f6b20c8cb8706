"""Runs of other replicas, opened for readers here."""

import asyncio
import time
from typing import Any, Final
from weakref import WeakValueDictionary

from ulid import ULID

from llm_stream.engine.chapters import parse_cursor
from llm_stream.engine.directory import Listed, Release
from llm_stream.engine.redislog.link import Command, RedisLink
from llm_stream.engine.redislog.post import Post
from llm_stream.engine.redislog.records import Keys, Record, events_of, read_last
from llm_stream.engine.redislog.remote import Followed, RemoteRun
from llm_stream.engine.redislog.tail import LogTail
from llm_stream.engine.redislog.vanished import CATCH_UP_SECONDS
from llm_stream.engine.run import Run
from llm_stream.errors import LogUnavailable, RunExpired, UnknownRun
from llm_stream.events import position_of

PAUSES: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds between looks for a run whose owner may not have shared it yet."""

LISTED_AT_ONCE: Final = 100

NEW_SECONDS: Final = 10.0
"""A run whose id was made this recently may be one; clocks may differ by as much."""


class RemoteRuns:
    """Finds runs of others by their ids; an `Elsewhere`.

    Args:
        link: the way to Redis.
        keys: names.
        post: reaches their owners.
        tail: fills their logs.

    Attributes:
        known: those that somebody here has.
    """

    def __init__(self, link: RedisLink, keys: Keys, post: Post, tail: LogTail) -> None:
        self._link = link
        self._keys = keys
        self._post = post
        self._tail = tail
        self.known: WeakValueDictionary[str, RemoteRun] = WeakValueDictionary()

    async def open(self, run_id: str, owner: str, after: str = "0") -> Run:
        """See `Elsewhere.open`."""
        run = self.known.get(run_id)
        if run is None or run.info.owner != owner or not run.done:
            run = await self._load(run_id, owner)
        self._tail.follow(run)
        if not run.reached(after):
            await self._reach(run, after)
        return run

    async def _reach(self, run: RemoteRun, after: str) -> None:
        """The cursor is ahead of what is shared: ask the owner whether it is one, and wait for it.

        If the owner cannot be asked, the reader is believed: it may have read there.
        """
        answer = await self._post.ask(run.known.replica, "follow", runs=[run.id])
        told = answer and parse_cursor(answer.get("last", ""))
        run.log.ahead = told or parse_cursor(after) or run.log.ahead
        if told:
            for pause in PAUSES:
                if run.reached(after) or run.reached(str(told)):
                    return
                await asyncio.sleep(pause)
                await self._tail.fill(run)

    async def look_again(self, run: Followed) -> None:
        """Another replica has taken a run over: learn who."""
        record = await self._record(run.id)
        if record is not None:
            run.learn(record)

    async def _load(self, run_id: str, owner: str) -> RemoteRun:
        record = await self._record(run_id)
        if record is None and (_is_new(run_id) or self._link.back_seconds < CATCH_UP_SECONDS):
            raise LogUnavailable(
                f"Run {run_id} is not shared yet, or there is none. Try again.",
                retry_after_ms=1000,
            )
        if record is None or record.info.owner != owner:
            raise UnknownRun(
                f"There is no run {run_id[:64]!r}. Use an id from X-Run-Id or GET /v1/runs.",
                field="run",
            )
        run = self.of(record)
        await self._tail.fill(run)
        if not len(run.log) and record.ended:
            raise RunExpired(
                f"The events of {run_id} are no longer kept. Start the run again.", field="run"
            )
        return run

    async def _record(self, run_id: str) -> Record | None:
        """What Redis knows of a run; waits a little for one that has just begun."""
        pauses = PAUSES if _is_new(run_id) else ()
        for pause in (*pauses, None):
            (reply,) = await self._link.ask([("HGETALL", self._keys.facts(run_id))])
            record = Record.read(reply)
            if record is not None or pause is None:
                break
            await asyncio.sleep(pause)
        return record

    def of(self, record: Record) -> RemoteRun:
        """The run of this record: one object, as long as anybody has it."""

        def tell(do: str, **facts: Any) -> None:
            self._post.tell(run.known.replica, do, run=run.id, **facts)

        found = self.known.get(record.info.id)
        run = found or RemoteRun(record, tell, self._tail.follow)
        run.known = record
        self.known[run.id] = run
        return run

    async def newest(self, owner: str, limit: int) -> list[Listed]:
        """See `Elsewhere.newest`."""
        (ids,) = await self._link.ask([("ZREVRANGE", self._keys.listed(owner), 0, limit - 1)])
        lines: list[Listed] = []
        for start in range(0, len(ids), LISTED_AT_ONCE):
            some = [run.decode() for run in ids[start : start + LISTED_AT_ONCE]]
            commands: list[Command] = []
            for run in some:
                commands += [("HGETALL", self._keys.facts(run)), read_last(self._keys, run)]
            replies = await self._link.ask_each(commands)
            for facts, last in zip(replies[::2], replies[1::2], strict=True):
                record, events = Record.read(facts), events_of(last)
                # Facts outlive the log: such a run is over, and not to be read any more.
                if record is not None and events:
                    cursor = position_of(events[-1])
                    lines.append(Listed(record.info, record.state, cursor, record.figures))
        return lines

    async def release(self, run: Run, claim: str | None) -> Release:
        """See `Elsewhere.release`."""
        if run.done:
            return {"state": run.state, "shared": False}
        # Its owner may have changed since this run was opened.
        record = await self._record(run.id)
        if record is not None and record.ended:
            return {"state": record.state, "shared": False}
        if record is not None:
            told = await self._post.ask(record.replica, "release", run=run.id, claim=claim)
            if told and "state" in told:
                return {"state": told["state"], "shared": told["shared"]}
        raise LogUnavailable(
            "The replica that works on this run does not answer. Try again.",
            retry_after_ms=1000,
            run=run.id,
        )


def _is_new(run_id: str) -> bool:
    try:
        made_at = ULID.from_str(run_id.removeprefix("run_")).timestamp
    except ValueError:
        return False
    return abs(time.time() - made_at) < NEW_SECONDS
