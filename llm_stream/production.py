"""How every run that works begins, and who is told of its end."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from llm_stream.cache.answers import AnswerCache
from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.flights import Flights
from llm_stream.engine.gate import Pass
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, DescribeError, RunInfo
from llm_stream.recipes.ask import Asking, Launch
from llm_stream.recipes.recipe import Recipe
from llm_stream.recipes.recorder import Recorder
from llm_stream.recipes.spec import RunSpec, dump_spec

BATCH_LOGS: Final = 16
"""A batch's log holds the answers of its requests: room for as many of the longest ones."""


class Production:
    """Makes runs of specs; what they have answered is kept, and recorded.

    Args:
        recipes: by name.
        cache: where answers are kept.
        launch: what recipes launch inner runs with.
        max_log_bytes: bound of each run's log.
        describe_error: makes the problem object of `run.failed`.
        history: told of the runs that have ended.
        flights: told how to run them again; None: nobody wants to know.
    """

    def __init__(  # noqa: PLR0913 - what a run needs
        self,
        recipes: Mapping[str, Recipe],
        cache: AnswerCache,
        launch: Launch,
        *,
        max_log_bytes: int,
        describe_error: DescribeError,
        history: Recorder | None,
        flights: Flights | None,
    ) -> None:
        self.recipes = recipes
        self.cache = cache
        self.history = history
        self._launch = launch
        self._max_log_bytes = max_log_bytes
        self._describe_error = describe_error
        self._flights = flights

    def begin(  # noqa: PLR0913 - what tells a run from others
        self,
        spec: RunSpec,
        info: RunInfo,
        client: Client,
        *,
        marks: Mapping[str, int] | None,
        passes: Sequence[Pass],
        log: EventLog | None = None,
    ) -> Run:
        """A run at work on this spec, not yet to be found by anybody.

        Args:
            spec: what to run; its recipe is known.
            info: what it is about.
            client: who wants it.
            marks: see `Run.marks`.
            passes: of gates; the run's from here on.
            log: of a run that has begun elsewhere.
        """
        run = Run(
            info,
            max_log_bytes=self.log_bytes(spec),
            describe_error=self._describe_error,
            client=client,
            log=log,
        )
        if self._flights and self._flights.keep_spec and info.parent is None:
            self._flights.keep_spec(run.id, dump_spec(spec))
        run.marks = marks
        run.on_finished(partial(self._ended, spec))
        run.start(self.recipes[spec.recipe].run(spec, Asking(run, spec, self._launch)), passes)
        return run

    def log_bytes(self, spec: RunSpec) -> int:
        """Bound of the log of a run of this spec."""
        return self._max_log_bytes * min(BATCH_LOGS, max(1, len(spec.children)))

    def _ended(self, spec: RunSpec, run: Run) -> None:
        if run.superseded:
            return  # who has it now keeps and records it
        if run.marks is not None:
            # From the very moment of its end the answer is found in the cache.
            self.cache.keep(spec, run, run.marks)
        if self.history is not None:
            self.history.record(spec, run, run.marks)
