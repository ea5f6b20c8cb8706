"""Followed runs that nobody has any more: their readers are told, and do not wait for ever.

So it is when Redis, killed, has lost the last second of a run, and its owner has meanwhile
forgotten it, because it had ended and its time was over.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.post import Message
from llm_stream.engine.redislog.records import Keys, Record

CATCH_UP_SECONDS: Final = 5.0
"""How long after an outage of Redis replicas may still have runs to share."""

log = logging.getLogger(__name__)


class Vanished:
    """Looks for them.

    Args:
        link: the way to Redis.
        keys: names.
        wait_seconds: how long a run has to be missing.
        followed: runs of others that have readers here.
        ask: asks a run's owner whether it has it; None: it does not answer.
        end: writes the end of such a run.
        clock: monotonic seconds.
    """

    def __init__(  # noqa: PLR0913 - what a look needs
        self,
        link: RedisLink,
        keys: Keys,
        *,
        wait_seconds: float,
        followed: Callable[[], Iterable[Record]],
        ask: Callable[[Record], Awaitable[Message | None]],
        end: Callable[[Record], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._keys = keys
        self._wait_seconds = wait_seconds
        self._followed = followed
        self._ask = ask
        self._end = end
        self._clock = clock
        self._missing: dict[str, float] = {}

    async def look(self) -> None:
        """Look at every run that is followed, and end those that are nowhere.

        Raises:
            LogUnavailable: Redis does not answer; nothing has vanished by that.
        """
        followed = {record.info.id: record for record in self._followed()}
        if not followed or self._link.back_seconds < CATCH_UP_SECONDS:
            self._missing.clear()  # what it has lost is being written again
            return
        found = await self._link.ask(
            [("EXISTS", self._keys.log(run), self._keys.facts(run)) for run in followed]
        )
        now = self._clock()
        missing = [run for run, there in zip(followed, found, strict=True) if not there]
        self._missing = {run: self._missing.get(run, now) for run in missing}
        for run in [
            run for run, since in self._missing.items() if now - since >= self._wait_seconds
        ]:
            answer = await self._ask(followed[run])
            if answer is not None and "last" not in answer:
                log.warning("run.vanished: %s", run)
                await self._end(followed[run])
                del self._missing[run]
