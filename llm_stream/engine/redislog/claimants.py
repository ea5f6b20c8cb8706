"""Claims that other replicas' clients have on our runs, for as long as those replicas live."""

from collections.abc import Callable
from typing import Final

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.records import Keys
from llm_stream.engine.run import Run
from llm_stream.errors import LogUnavailable

GONE_SECONDS: Final = 10.0
"""How long a sign of life has to be missing. A replica without readers here says nothing else."""

Claims = dict[str, set[tuple[str, str]]]
"""Runs and claims on them, by replica."""


class Claimants:
    """Who has claims; those of a replica that is gone would keep a run from being cancelled.

    One that comes back, which may have been frozen only, has its claims again.

    Args:
        link: the way to Redis.
        keys: names.
        find: a run of this process by its id.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        find: Callable[[str], Run | None],
        clock: Callable[[], float],
    ) -> None:
        self._link = link
        self._keys = keys
        self._find = find
        self._clock = clock
        self._claims: Claims = {}
        self._forgotten: Claims = {}
        self._missing: dict[str, float] = {}

    def claimed(self, replica: str, run_id: str, claim: str) -> None:
        """A client of this replica has joined the run."""
        self._claims.setdefault(replica, set()).add((run_id, claim))

    async def look(self) -> None:
        """Forget the claims of replicas that are gone, and recall those of who is back.

        Raises:
            LogUnavailable: Redis does not answer; nobody is gone by that.
        """
        self._claims, self._forgotten = self._living(self._claims), self._living(self._forgotten)
        names = [*(self._claims | self._forgotten)]
        if not names:
            return
        try:
            signs = await self._link.ask([("EXISTS", self._keys.alive(name)) for name in names])
        except LogUnavailable:
            self._missing.clear()
            raise
        now = self._clock()
        there = {name for name, sign in zip(names, signs, strict=True) if sign}
        for name in there & self._forgotten.keys():
            self._back(name)
        missing = self._claims.keys() - there
        self._missing = {name: self._missing.get(name, now) for name in missing}
        for name, since in [*self._missing.items()]:
            if now - since >= GONE_SECONDS:
                del self._missing[name]
                self._gone(name)

    def _living(self, claims: Claims) -> Claims:
        kept = {
            replica: {(run, claim) for run, claim in some if self._live(run)}
            for replica, some in claims.items()
        }
        return {replica: some for replica, some in kept.items() if some}

    def _live(self, run_id: str) -> Run | None:
        run = self._find(run_id)
        return None if run is None or run.done else run

    def _gone(self, replica: str) -> None:
        claims = self._claims.pop(replica)
        self._forgotten.setdefault(replica, set()).update(claims)
        for run_id, claim in claims:
            if run := self._live(run_id):
                run.interest.forget(claim)

    def _back(self, replica: str) -> None:
        claims = self._forgotten.pop(replica)
        self._claims.setdefault(replica, set()).update(claims)
        for run_id, claim in claims:
            if run := self._live(run_id):
                run.interest.recall(claim)
