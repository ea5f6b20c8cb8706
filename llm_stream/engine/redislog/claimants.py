"""Claims that other replicas' clients have on our runs, for as long as those replicas live."""

from collections.abc import Callable
from typing import Final

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.records import Keys
from llm_stream.engine.run import Run
from llm_stream.errors import LogUnavailable

GONE_SECONDS: Final = 10.0
"""How long a sign of life has to be missing. A replica without readers here says nothing else."""


class Claimants:
    """Who has claims; those of a replica that is gone would keep a run from being cancelled.

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
        self._claims: dict[str, set[tuple[str, str]]] = {}
        self._missing: dict[str, float] = {}

    def claimed(self, replica: str, run_id: str, claim: str) -> None:
        """A client of this replica has joined the run."""
        self._claims.setdefault(replica, set()).add((run_id, claim))

    async def look(self) -> None:
        """Forget the claims of replicas that are gone.

        Raises:
            LogUnavailable: Redis does not answer; nobody is gone by that.
        """
        self._claims = {
            replica: live
            for replica, claims in self._claims.items()
            if (live := {(run, claim) for run, claim in claims if self._live(run)})
        }
        if not self._claims:
            return
        names = [*self._claims]
        try:
            signs = await self._link.ask([("EXISTS", self._keys.alive(name)) for name in names])
        except LogUnavailable:
            self._missing.clear()
            raise
        now = self._clock()
        missing = {name for name, sign in zip(names, signs, strict=True) if not sign}
        self._missing = {name: self._missing.get(name, now) for name in missing}
        for name, since in [*self._missing.items()]:
            if now - since >= GONE_SECONDS:
                del self._missing[name]
                self._forget(name)

    def _live(self, run_id: str) -> Run | None:
        run = self._find(run_id)
        return None if run is None or run.done else run

    def _forget(self, replica: str) -> None:
        for run_id, claim in self._claims.pop(replica, ()):
            if run := self._live(run_id):
                run.interest.forget(claim)
