"""The order of things: which system is measured when, how often, and what is kept of it."""

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.speed import growth, ours, scenarios, soak, starting, systems, waterfall
from benchmarks.speed.measuring import Bench, Figures, Pace, Rows, Scenario, Wrong, probe
from benchmarks.speed.processes import Running
from benchmarks.speed.systems import Start

OURS: Final = "llm-stream"

ONCE: Final[Mapping[str, Callable[[Bench], Rows]]] = {
    "streams at once": growth.streams_at_once,
    "tokens a run": growth.tokens_a_run,
    "a stream of tokens": growth.a_run,
    "start": starting.starts,
    "worker processes": starting.workers,
    "waterfall": waterfall.waterfall,
}
"""Of the service, in the first repetition; each starts what it needs."""


class Plan(NamedTuple):
    """What is measured.

    Attributes:
        repeat: repetitions at most.
        within_seconds: none begins that would end later.
        quick: without what takes long.
        only: scenarios with this in their name.
        soak: so many runs, and nothing else; 0 = no soak.
    """

    repeat: int = 3
    within_seconds: float = 540.0
    quick: bool = False
    only: str = ""
    soak: int = 0


@dataclass(slots=True)
class Found:
    """What came of it.

    Attributes:
        figures: {scenario: {system or row: {figure: median}}}.
        failures: what was not believed, or could not be started.
        repetitions: that were done.
    """

    figures: dict[str, Rows] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    repetitions: int = 0


class Session:
    """One measurement: all figures as they come.

    Args:
        plan: what is measured.
        bench: where.
    """

    def __init__(self, plan: Plan, bench: Bench) -> None:
        self._plan = plan
        self._bench = bench
        self._seen: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
        self._paces: dict[str, Pace] = {}
        self.failures: list[str] = []

    def wanted(self, of: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """The scenarios of a table that were asked for."""
        return ((name, what) for name, what in of.items() if self._plan.only in name)

    def repetition(self, starts: Mapping[str, Start]) -> None:
        """Every system once."""
        for name, start in starts.items():
            self.system(name, start)

    def once(self) -> None:
        """What is not repeated."""
        for what, scenario in self.wanted(ONCE):
            self.attempt(what, OURS, partial(self.kept_rows, what, scenario))

    def system(self, name: str, start: Start) -> None:
        """Everything of one system."""
        tables = [scenarios.QUICK, *([ours.OURS] if name == OURS else [])]
        if not self._plan.quick:
            tables += [scenarios.LONG, *([ours.OURS_LONG] if name == OURS else [])]
        found = {what: one for table in tables for what, one in self.wanted(table)}
        together = {what: one for what, one in found.items() if not (one.fresh or one.more)}
        if together:
            self.attempt("start", name, partial(self.run, name, start, together))
        for what, one in found.items():
            if what in together:
                continue
            alone = partial(self.run, name, started(start, one), {what: one})
            self.attempt(what, name, alone)

    def run(self, name: str, start: Start, table: Mapping[str, Scenario]) -> None:
        """Scenarios of a system that is started for them."""
        bench = self._bench
        with (
            # A folder of its own: what one start has written is no load for the next.
            tempfile.TemporaryDirectory(dir=bench.folder) as own,
            start(bench.upstream, Path(own)) as system,
        ):
            if name not in self._paces:
                self._paces[name] = probe(system, bench.load, bench.longest_seconds)
            for what, scenario in table.items():
                self.attempt(what, name, partial(self._one, what, name, scenario, system))

    def _one(self, what: str, name: str, scenario: Scenario, system: Running) -> None:
        self.keep(what, name, scenario.run(system, self._bench.load, self._paces[name]))

    def attempt(self, what: str, name: str, do: Callable[[], None]) -> None:
        """Do it; a system that fails is told of and stops no other."""
        try:
            do()
        except (Wrong, RuntimeError, OSError, LookupError, TypeError, ValueError) as error:
            self.failures.append(f"{what}: {name}: {error or type(error).__name__}")
            print(self.failures[-1], file=sys.stderr)

    def keep(self, what: str, name: str, figures: Figures) -> None:
        """Of a scenario and a system, one repetition."""
        self._seen[what][name].append(figures)
        shown = {key: round(value, 3) for key, value in figures.items() if value is not None}
        print(f"{what}: {name}: {shown}", file=sys.stderr)

    def kept_rows(self, what: str, scenario: Callable[[Bench], Rows]) -> None:
        """Of a scenario that has rows of its own."""
        with tempfile.TemporaryDirectory(dir=self._bench.folder) as own:
            for row, figures in scenario(self._bench._replace(folder=Path(own))).items():
                self.keep(what, row, figures)

    @property
    def figures(self) -> dict[str, Rows]:
        """Medians."""
        return {
            what: {name: medians(runs) for name, runs in found.items()}
            for what, found in self._seen.items()
        }


def started(start: Start, scenario: Scenario) -> Start:
    """The start of a system for one scenario alone; settings are for the service."""
    if not scenario.more:
        return start
    return lambda port, folder: systems.ours(port, folder, more=scenario.more)


def medians(runs: list[Figures]) -> Figures:
    """The median of each figure, of the repetitions that have it."""
    return {
        name: round(statistics.median(values), 3)
        for name in dict.fromkeys(name for run in runs for name in run)
        if (values := [run[name] for run in runs if run.get(name) is not None])
    }


def measure(plan: Plan, starts: Mapping[str, Start], bench: Bench) -> Found:
    """All of it, in interleaved repetitions; what there is when it is interrupted (SIGINT)."""
    session, found = Session(plan, bench), Found()
    try:
        for _ in repetitions(session, plan, starts):
            found.repetitions += 1
    except KeyboardInterrupt:
        session.failures.append("the rest: interrupted")
    found.figures, found.failures = session.figures, session.failures
    return found


def repetitions(session: Session, plan: Plan, starts: Mapping[str, Start]) -> Iterator[None]:
    """Do one after the other, as many as there is time for."""
    began, longest = time.monotonic(), 0.0
    if plan.soak:
        soaked = partial(soak.soak, runs=plan.soak)
        session.attempt("soak", OURS, partial(session.kept_rows, "soak", soaked))
        yield
        return
    for number in range(plan.repeat):
        start = time.monotonic()
        if start + longest > began + plan.within_seconds:
            return
        session.repetition(starts)
        yield
        longest = max(longest, time.monotonic() - start)
        if not number and OURS in starts and not plan.quick:
            session.once()
