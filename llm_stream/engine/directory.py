"""Every run that can be reached from here: this process' own, then those of other replicas."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

from typing_extensions import TypedDict  # before 3.12 pydantic cannot read typing's

from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import RunInfo, State
from llm_stream.errors import LogUnavailable, RunExpired, UnknownRun


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a list: a run, its state, its newest cursor, and what has its figures."""

    info: RunInfo
    state: State
    cursor: str
    statistics: Callable[[], Mapping[str, Any]]

    @classmethod
    def of(cls, run: Run) -> Self:
        """The line of a run that is here."""
        return cls(run.info, run.state, run.log.cursor, lambda: asdict(run.statistics()))


class Release(TypedDict):
    """How a run is after a claim on it was released, and whether others still want it."""

    state: State
    shared: bool


class Elsewhere(Protocol):
    """Runs of other replicas."""

    async def open(self, run_id: str, owner: str, after: str) -> Run:
        """The run of that id; a reader behind the cursor `after` can subscribe.

        Raises:
            RunExpired: it was there; its events are no longer kept.
            UnknownRun: it never was, or belongs to another owner.
            LogUnavailable: nobody can tell now.
        """

    async def newest(self, owner: str, limit: int) -> list[Listed]:
        """The owner's newest runs, newest first, wherever they are; no hidden ones.

        Raises:
            LogUnavailable: nobody can tell now.
        """

    async def release(self, run: Run, claim: str | None) -> Release:
        """Release a claim on such a run; its state then, as `released` says it.

        Raises:
            LogUnavailable: nobody has heard it, so that nothing may come of it.
        """


class RunDirectory:
    """Finds runs wherever they are.

    Args:
        registry: runs of this process.
        elsewhere: runs of others; None: there are none.
    """

    def __init__(self, registry: RunRegistry, elsewhere: Elsewhere | None = None) -> None:
        self._registry = registry
        self._elsewhere = elsewhere

    async def find(self, run_id: str, owner: str = "", after: str = "0") -> Run:
        """The run of that id; asks other replicas only for what is not here.

        Args:
            run_id: the id.
            owner: who asks.
            after: the cursor behind which it will be read.

        Raises:
            RunExpired: it was there and is no longer kept.
            UnknownRun: it never was, or belongs to another owner.
            LogUnavailable: it is not here, and other replicas cannot be asked now.
        """
        try:
            return self._registry.find(run_id, owner)
        except (RunExpired, UnknownRun) as missing:
            if self._elsewhere is None:
                raise
            try:
                return await self._elsewhere.open(run_id, owner, after)
            except UnknownRun:
                raise missing from None

    async def newest(
        self, owner: str = "", *, others: int, hidden: bool = False
    ) -> tuple[list[Listed], bool]:
        """The owner's newest runs, newest first; whether those of other replicas are among them.

        Args:
            owner: who asks.
            others: most of those of other replicas.
            hidden: also runs that recipes asked for, of this process only.
        """
        here = {run.id: Listed.of(run) for run in self._registry.newest(owner, hidden=hidden)}
        if self._elsewhere is None:
            return [*here.values()], True
        try:
            there = await self._elsewhere.newest(owner, others)
        except LogUnavailable:
            return [*here.values()], False
        lines = {line.info.id: line for line in there} | here
        # Ids begin with their time.
        return [lines[run] for run in sorted(lines, reverse=True)], True

    async def release(self, run: Run, claim: str | None) -> Release:
        """A client wants the run no more; its state then, and whether others still share it.

        Raises:
            LogUnavailable: another replica works on it, which did not hear that.
        """
        here = self._registry.get(run.id) is run and not handed_over(run)
        if here or self._elsewhere is None:
            return released(run, claim)
        return await self._elsewhere.release(run, claim)


def handed_over(run: Run) -> bool:
    """Whether a run of this process is worked on by another replica now."""
    return run.log.closed and not run.done


def released(run: Run, claim: str | None) -> Release:
    """Release a claim on a run of this process, and say what came of it."""
    run.release(claim)
    return {
        "state": "cancelled" if run.ending and not run.done else run.state,
        "shared": not run.ending,
    }
