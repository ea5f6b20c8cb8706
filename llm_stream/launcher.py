"""The one door: a spec becomes a live or a joined `Run`, whichever wire it came by."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple, Protocol

from ulid import ULID

from llm_stream.engine.gate import Gate, Pass
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, DescribeError, Outcome, RunInfo
from llm_stream.events import Payload
from llm_stream.recipes.ask import Ask, Inner
from llm_stream.recipes.spec import RunSpec

BATCH_LOGS: Final = 16
"""A batch's log holds the answers of its requests: room for as many of the longest ones."""


class Recipe(Protocol):
    """One use case."""

    name: str

    def run(self, spec: RunSpec, ask: Ask) -> AsyncGenerator[Payload | Outcome]:
        """Payloads, then one `Outcome`; closed by the run."""


class Launch(NamedTuple):
    """A run, and whether it was already under way for somebody else."""

    run: Run
    joined: bool


class Launcher:
    """Starts or joins runs. `recipes` is the one table of use cases, by name.

    Args:
        recipes: by name.
        registry: where runs live.
        gate: how many runs the whole service works on at once.
        max_log_bytes: bound of each run's log.
        describe_error: makes the problem object of `run.failed`.
    """

    def __init__(
        self,
        recipes: Mapping[str, Recipe],
        registry: RunRegistry,
        gate: Gate,
        *,
        max_log_bytes: int,
        describe_error: DescribeError,
    ) -> None:
        self.recipes = dict(recipes)
        self._registry = registry
        self._gate = gate
        self._max_log_bytes = max_log_bytes
        self._describe_error = describe_error

    def launch(self, spec: RunSpec, gates: Sequence[Gate] = (), claim: str = "") -> Launch:
        """Start the run, or join an equal one that is under way. Never waits.

        Equal runs are shared with cache mode `use` only.

        Args:
            spec: what to run.
            gates: gates to pass before the service's own, the connection's say. A joined run
                passes none.
            claim: names the client, so that its cancel is its own (`Run.release`).

        Raises:
            TooManyRuns: a gate and its queue are full.
            Draining: the service takes no new runs.
        """

        def create() -> Run:
            passes: list[Pass] = []
            try:
                if spec.parent is None:
                    passes.extend(gate.admit() for gate in (*gates, self._gate))
            except BaseException:
                for ticket in passes:
                    ticket.leave()
                raise
            run = Run(
                self._describe(spec, key),
                max_log_bytes=self._max_log_bytes * min(BATCH_LOGS, max(1, len(spec.children))),
                describe_error=self._describe_error,
                client=client,
            )
            run.start(self.recipes[spec.recipe].run(spec, partial(self._ask, run, set())), passes)
            return run

        key = spec.fingerprint()
        client = Client(claim, spec.abandon_seconds, inner=spec.parent is not None)
        share = spec.cache_mode == "use"
        return Launch(*self._registry.start_or_join(key, create, client, share=share))

    @asynccontextmanager
    async def _ask(self, parent: Run, reported: set[str], spec: RunSpec) -> AsyncIterator[Inner]:
        """An inner run of `parent`: hidden, past every gate, released when left.

        The parent holds a slot already; were its children to wait for others, parents could
        wait for each other for ever.
        """
        spec = replace(spec, parent=parent.id, request=parent.info.request)
        claim = f"{parent.id}/{ULID()}"
        run, _ = self.launch(spec, claim=claim)
        subscription = run.subscribe()
        try:
            yield Inner(run, subscription)
        finally:
            subscription.close()
            run.release(claim)
            if run.id not in reported:
                reported.add(run.id)
                for event in run.events():
                    if event.type == "usage":
                        parent.record(event.payload())

    @staticmethod
    def _describe(spec: RunSpec, key: str) -> RunInfo:
        return RunInfo(
            id=f"run_{ULID()}",
            recipe=spec.recipe,
            model=spec.model,
            key=key,
            cache="bypass" if spec.cache_mode == "bypass" else "miss",
            template=None if spec.template is None else str(spec.template),
            title=spec.title,
            owner=spec.owner,
            parent=spec.parent,
            request=spec.request,
            tags=spec.tags,
            structured=spec.schema is not None,
        )
