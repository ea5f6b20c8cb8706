"""Which replicas follow which of our runs: they are rung, and count as readers."""

from collections.abc import Callable, Iterable
from typing import Final

from llm_stream.engine.run import Run

FOLLOW_SECONDS: Final = 10.0
"""How long a replica counts as a reader after it last said that it follows."""


class Audience:
    """Followers of this process' runs, each for as long as it renews that it follows.

    Args:
        find: a run of this process by its id.
        clock: monotonic seconds.
        deaf: whether nobody can be heard now.
    """

    def __init__(
        self,
        find: Callable[[str], Run | None],
        clock: Callable[[], float],
        deaf: Callable[[], bool] = lambda: False,
    ) -> None:
        self._find = find
        self._clock = clock
        self._deaf = deaf
        self._was_deaf = False
        self._followers: dict[str, dict[str, float]] = {}

    def of(self, run_id: str) -> Iterable[str]:
        """Replicas that follow the run."""
        return self._followers.get(run_id, ())

    def follows(self, replica: str, run_ids: Iterable[str]) -> Run | None:
        """The replica follows these runs for the next seconds; the last of them that is here."""
        run = None
        for run_id in run_ids:
            run = self._find(run_id)
            if run is not None and not run.done:
                followers = self._followers.setdefault(run_id, {})
                if replica not in followers:
                    run.interest.reader_came()
                followers[replica] = self._clock() + FOLLOW_SECONDS
        return run

    def leaves(self, replica: str, run_id: str) -> None:
        """The replica has no reader of this run any more."""
        followers = self._followers.get(run_id, {})
        run = self._find(run_id)
        if followers.pop(replica, None) is not None and run is not None:
            run.interest.reader_left()

    def forget(self, run_id: str) -> None:
        """The run is another replica's now: who follows it tells that one."""
        self._followers.pop(run_id, None)

    def expire(self) -> None:
        """Let those go that have not renewed, where they could be heard all the time."""
        now = self._clock()
        deaf, self._was_deaf = self._was_deaf, self._deaf()
        if self._was_deaf:
            return
        if deaf:
            # They have had no chance to say so, and need a moment to be heard again.
            for followers in self._followers.values():
                followers.update(dict.fromkeys(followers, now + FOLLOW_SECONDS))
        for run_id, followers in [*self._followers.items()]:
            run = self._find(run_id)
            for replica in [name for name, until in followers.items() if until < now]:
                self.leaves(replica, run_id)
            if not followers or run is None or run.done:
                del self._followers[run_id]
