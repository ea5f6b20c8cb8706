"""What a launcher asks of other replicas about a call: is it under way there?"""

from collections.abc import Callable, Mapping
from typing import Protocol

from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client


class Flights(Protocol):
    """Equal calls under way share one run, whichever replica they came to.

    Attributes:
        keep_spec: told how to run each run again, before it can be found; None: nobody wants it.
    """

    keep_spec: Callable[[str, bytes], None] | None

    async def join(
        self, key: str, client: Client, owner: str, marks: Mapping[str, int]
    ) -> Run | None:
        """The run of another replica that works on this call, joined.

        None: it is to be started here; then call `hold`, or `release` should that fail.

        Args:
            key: the call's fingerprint.
            client: who joins.
            owner: of the run.
            marks: generations that the call knows of, see `outdated`.
        """

    async def claim(self, key: str) -> bool:
        """Take the lease on a call without asking to join, for a run that goes on in any case.

        False: another replica that lives has it, or nobody can tell now.
        """

    def hold(self, key: str, run: Run) -> None:
        """The run works on the call until it ends."""

    def release(self, key: str) -> None:
        """The run was not started after all."""


def outdated(run: Run, marks: Mapping[str, int]) -> bool:
    """Whether a run was asked for before an invalidation that these marks know of.

    Replicas that do not share their cache count on their own: one that is behind the run's
    replica knows of nothing that would void it.
    """
    return any(marks.get(name, mark) > mark for name, mark in (run.marks or {}).items())
