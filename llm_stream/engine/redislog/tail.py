"""The follower's side: copies of other replicas' logs, kept up while somebody here reads them."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.records import PAGE_EVENTS, Keys, events_of, read_events
from llm_stream.engine.redislog.remote import Followed
from llm_stream.errors import LogUnavailable

LOOK_SECONDS: Final = 1.0
"""How often every followed log is looked at: a ring may get lost."""

LINGER_SECONDS: Final = 5.0
"""How long a run without readers is still followed: a reader that was cut comes back."""

READ_AT_ONCE: Final = 50
RETRY_SECONDS: Final = 0.25

log = logging.getLogger(__name__)


class LogTail:
    """Fills the copies. One task for all of them; a log is read when its owner rings.

    Args:
        link: the way to Redis.
        keys: names.
        clock: monotonic seconds, the loop's.
    """

    def __init__(
        self, link: RedisLink, keys: Keys, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock
        self._behind: dict[str, Followed] = {}
        self._rung = asyncio.Event()
        self.runs: dict[str, Followed] = {}

    def follow(self, run: Followed) -> None:
        """Fill this run's log from now on, while it has readers and has not ended."""
        run.left_at = None if run.readers else self._clock()
        if not run.done and self.runs.setdefault(run.id, run) is run:
            self._behind[run.id] = run
            self._rung.set()

    def ring(self, run_id: str) -> None:
        """The owner says that there is more."""
        if run := self.runs.get(run_id):
            self._behind[run_id] = run
            self._rung.set()

    async def fill(self, run: Followed) -> None:
        """Read all that Redis has of this run.

        Raises:
            LogUnavailable: Redis does not answer.
        """
        while True:
            (reply,) = await self._link.ask([read_events(self._keys, run.id, run.log.last)])
            events = events_of(reply)
            run.feed(events)
            if len(events) < PAGE_EVENTS:
                return

    async def work(self) -> None:
        """Fill logs until cancelled."""
        look_at = self._clock() + LOOK_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(look_at - self._clock()):
                    await self._rung.wait()
            if self._clock() >= look_at:
                look_at = self._clock() + LOOK_SECONDS
                self._behind.update(self.runs)
                self._leave()
            self._rung.clear()
            try:
                if self._behind:
                    await self._read()
            except LogUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
            if self._behind:
                # In the next turn: rings that never pause must not put off the look at all logs.
                self._rung.set()

    async def _read(self) -> None:
        chosen = [run for run, _ in zip(self._behind.values(), range(READ_AT_ONCE), strict=False)]
        for run in chosen:
            # A ring that comes during the call is for what the call may not have seen.
            del self._behind[run.id]
        try:
            replies = await self._link.ask_each(
                [read_events(self._keys, run.id, run.log.last) for run in chosen]
            )
        except LogUnavailable:
            self._behind.update({run.id: run for run in chosen})
            raise
        for run, reply in zip(chosen, replies, strict=True):
            if reply is None:
                # Others are not to wait for it; who opens it anew is told.
                log.error("run.unreadable: %s: its log holds something else", run.id)
                self.runs.pop(run.id, None)
                continue
            events = events_of(reply)
            run.feed(events)
            if run.done:
                self.runs.pop(run.id, None)
            elif len(events) == PAGE_EVENTS:
                self._behind[run.id] = run

    def _leave(self) -> None:
        horizon = self._clock() - LINGER_SECONDS
        for run in [*self.runs.values()]:
            if not run.readers and run.left_at is not None and run.left_at < horizon:
                del self.runs[run.id]
                self._behind.pop(run.id, None)
