"""The one door: a spec becomes a live, joined or replayed `Run`, whichever wire it came by."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from llm_stream.cache.answers import AnswerCache, Lookup
from llm_stream.cache.stored import Stored
from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.flights import Flights
from llm_stream.engine.gate import Gate, admit_all
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.replay import Replay, paced
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import CacheState, Client, DescribeError, RunInfo
from llm_stream.errors import Draining, NotCached, StreamError, TooManyRuns
from llm_stream.events import Event
from llm_stream.naming import ulid
from llm_stream.recipes.ask import Ask, Inner
from llm_stream.recipes.recipe import Recipe, again
from llm_stream.recipes.recorder import Recorder
from llm_stream.recipes.spec import RunSpec, dump_spec

BATCH_LOGS: Final = 16
"""A batch's log holds the answers of its requests: room for as many of the longest ones."""


class Launch(NamedTuple):
    """A run, and whether it was already under way for somebody else."""

    run: Run
    joined: bool


class Wanted(NamedTuple):
    """One call of `Launcher.launch`: the spec, its fingerprint, who asks, what the cache has."""

    spec: RunSpec
    key: str
    client: Client
    found: Lookup


class Launcher:
    """Starts or joins runs. `recipes` is the one table of use cases, by name.

    Args:
        recipes: by name.
        registry: where runs live.
        cache: where answers are kept.
        gate: how many runs the whole service works on at once.
        max_log_bytes: bound of each run's log.
        describe_error: makes the problem object of `run.failed`.
        history: told of the runs that have ended.
        flights: calls under way on other replicas; None: there are none.
    """

    def __init__(  # noqa: PLR0913 - the parts of the road
        self,
        recipes: Mapping[str, Recipe],
        registry: RunRegistry,
        cache: AnswerCache,
        gate: Gate,
        *,
        max_log_bytes: int,
        describe_error: DescribeError,
        history: Recorder | None = None,
        flights: Flights | None = None,
    ) -> None:
        self.recipes = dict(recipes)
        self._registry = registry
        self._cache = cache
        self._gate = gate
        self._max_log_bytes = max_log_bytes
        self._describe_error = describe_error
        self._history = history
        self._flights = flights

    async def launch(self, spec: RunSpec, gates: Sequence[Gate] = (), claim: str = "") -> Launch:
        """Join an equal run that is under way, replay a kept answer, or start.

        Waits for the cache at most; see `CacheControl` for what each mode does.

        Args:
            spec: what to run.
            gates: gates to pass before the service's own, the connection's say. A joined or
                replayed run passes none.
            claim: names the client, so that its cancel is its own (`Run.release`).

        Raises:
            NotCached: mode `only`, and there is no answer (the caller's doing).
            TooManyRuns: a gate and its queue are full.
            Draining: the service takes no new runs.
        """
        identity = self.recipes[spec.recipe].identity(spec)
        key = spec.fingerprint(identity or "")
        client = Client(claim, spec.abandon_seconds, inner=spec.parent is not None)
        mode = spec.cache.mode
        join = mode in {"use", "only"}
        if join and (run := self._registry.joinable(key, client)) is not None:
            run.join(client)
            return Launch(run, joined=True)
        found = Lookup() if identity is None else await self._cache.find(spec, key)
        wanted = Wanted(spec, key, client, found)
        if found.entry is not None:
            if found.stale:
                self._revalidate(wanted)
            return Launch(self._replay(wanted, found.entry), joined=False)
        if mode == "only":
            raise NotCached("There is no answer to this request in the cache.", field="cache.mode")
        if self._flights is None or not join:
            return self._start(wanted, gates, join=join)
        if (run := await self._flights.join(key, client, spec.owner)) is not None:
            return Launch(run, joined=True)
        try:
            return self._start(wanted, gates, join=join)
        except StreamError:
            self._flights.release(key)
            raise

    def _start(self, wanted: Wanted, gates: Sequence[Gate] = (), *, join: bool) -> Launch:
        spec, key, client, found = wanted

        def create() -> Run:
            passes = [] if spec.parent else admit_all((*gates, self._gate))
            run = Run(
                self._describe(spec, key, "miss" if self._cache.used_by(spec) else "bypass"),
                max_log_bytes=self._max_log_bytes * min(BATCH_LOGS, max(1, len(spec.children))),
                describe_error=self._describe_error,
                client=client,
            )
            if self._flights and self._flights.keep_spec and spec.parent is None:
                self._flights.keep_spec(run.id, dump_spec(spec))
            if (marks := found.marks) is not None:
                # From the very moment of its end the answer is found in the cache.
                run.on_finished(lambda run: self._cache.keep(spec, run, marks))
            if (history := self._history) is not None:
                run.on_finished(lambda run: history.record(spec, run, found.marks))
            run.start(self.recipes[spec.recipe].run(spec, self._ask_for(run)), passes)
            return run

        share = spec.cache.mode != "bypass"
        return Launch(*self._registry.start_or_join(key, create, client, join=join, share=share))

    def restart(self, info: RunInfo, spec: bytes, epoch: int, earlier: Sequence[Event]) -> Run:
        """Run again what another replica has lost, under its id and behind the events it has.

        Whatever is wrong with it ends the run, never this call.
        """
        log = EventLog(
            info.id, max_bytes=self._max_log_bytes * BATCH_LOGS, epoch=epoch, earlier=earlier
        )

        def create() -> Run:
            run = Run(info, max_log_bytes=0, describe_error=self._describe_error, log=log)
            run.start(again(self.recipes, spec, self._ask_for(run)), [self._gate.admit_patiently()])
            return run

        return self._registry.start_or_join(info.key, create, Client(), join=False)[0]

    def _replay(self, wanted: Wanted, entry: Stored) -> Run:
        """A kept answer as a run: at once, or at the pace that was asked for."""
        spec, key, client, _ = wanted
        age = entry.age_seconds
        info = self._describe(
            spec, key, "hit", age_seconds=int(age), ttl_seconds=int(entry.fresh_seconds - age)
        )
        if spec.cache.pace == "instant":
            replayed = Replay(info, entry.recording)
            self._registry.add_replay(replayed)
            return replayed

        def create() -> Run:
            run = Run(
                info,
                max_log_bytes=self._max_log_bytes,
                describe_error=self._describe_error,
                client=client,
            )
            run.start(paced(entry.recording, spec.cache.pace))
            return run

        return self._registry.start_or_join(key, create, client, join=False, share=False)[0]

    def _revalidate(self, wanted: Wanted) -> None:
        """Compute a stale answer anew while it is given out, unless that is under way."""
        spec = wanted.spec
        fresh = replace(
            spec, cache=replace(spec.cache, mode="refresh"), abandon_seconds=None, parent=None
        )
        wanted = wanted._replace(spec=fresh, client=Client(f"revalidate/{ulid()}"))
        # Without room now, the next one who asks tries again.
        with suppress(TooManyRuns, Draining):
            self._start(wanted, join=True)

    def _ask_for(self, run: Run) -> Ask:
        return partial(self._ask, run, set())

    @asynccontextmanager
    async def _ask(self, parent: Run, reported: set[str], spec: RunSpec) -> AsyncIterator[Inner]:
        """An inner run of `parent`: hidden, past every gate, released when left.

        The parent holds a slot already; were its children to wait for others, parents could
        wait for each other for ever.
        """
        spec = replace(
            spec,
            parent=parent.id,
            request=parent.info.request,
            cache=replace(spec.cache, pace="instant"),
        )
        claim = f"{parent.id}/{ulid()}"
        run, _ = await self.launch(spec, claim=claim)
        subscription = run.subscribe()
        try:
            yield Inner(run, subscription)
        finally:
            subscription.close()
            run.release(claim)
            parent.substituted |= run.substituted
            # What comes from the cache was paid for before.
            if run.id not in reported and run.info.cache != "hit":
                reported.add(run.id)
                for event in run.events():
                    if event.type == "usage":
                        parent.record(event.payload())

    @staticmethod
    def _describe(spec: RunSpec, key: str, cache: CacheState, **ages: int) -> RunInfo:
        return RunInfo(
            id=f"run_{ulid()}",
            recipe=spec.recipe,
            model=spec.model,
            key=key,
            cache=cache,
            unrepeatable=not spec.repeatable,
            template=None if spec.template is None else str(spec.template),
            title=spec.title,
            owner=spec.owner,
            parent=spec.parent,
            request=spec.request,
            tags=spec.tags,
            structured=spec.schema is not None,
            created_at=time.time(),
            **ages,
        )
