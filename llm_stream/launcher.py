"""The one door: a spec becomes a live, joined or replayed `Run`, whichever wire it came by."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from llm_stream.cache.answers import AnswerCache, Lookup
from llm_stream.cache.stored import Stored
from llm_stream.engine.gate import Gate, Pass
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.replay import Replay, paced
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, DescribeError
from llm_stream.errors import Draining, NotCached, TooManyRuns
from llm_stream.naming import ulid
from llm_stream.recipes.ask import Inner
from llm_stream.recipes.recipe import Recipe, Recorder
from llm_stream.recipes.spec import RunSpec, described

BATCH_LOGS: Final = 16
"""A batch's log holds the answers of its requests: room for as many of the longest ones."""


PACED: Final = 256
"""Replays at a pace at a time; they cost no model call, but live for long."""

REVALIDATE_SECONDS: Final = 10.0
"""How long after an attempt a stale answer is given without another one."""

MAX_REVALIDATED: Final = 10_000


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
    ) -> None:
        self.recipes = dict(recipes)
        self._registry = registry
        self._cache = cache
        self._gate = gate
        self._max_log_bytes = max_log_bytes
        self._describe_error = describe_error
        self._history = history
        self._paced = Gate(PACED, 0, "paced replays")
        self._revalidated: dict[str, float] = {}

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
        found = Lookup() if identity is None else await self._cache.find(spec, key)
        wanted = Wanted(spec, key, client, found)
        if found.entry is not None:
            if found.stale:
                self._revalidate(wanted)
            return Launch(self._replay(wanted, found.entry), joined=False)
        if (run := self._joinable(wanted)) is not None:
            run.join(client)
            run.marks = None if run.marks is None else {**(found.marks or {}), **run.marks}
            return Launch(run, joined=True)
        if mode == "only" and identity is not None:
            raise NotCached("There is no answer to this request in the cache.", field="cache.mode")
        return self._start(wanted, gates, share=mode != "bypass" and identity is not None)

    def _joinable(self, wanted: Wanted) -> Run | None:
        """The run under way that this call may share, if there is one.

        Not one that was asked for before an invalidation that this call knows of; a refresh
        shares with a refresh only.
        """
        if wanted.spec.cache.mode == "bypass":
            return None
        run = self._registry.joinable(wanted.key, wanted.client)
        if run is None or (wanted.spec.cache.mode == "refresh" and not run.refreshes):
            return None
        now, then = wanted.found.marks or {}, run.marks or {}
        return run if all(now.get(name, mark) == mark for name, mark in then.items()) else None

    def _start(self, wanted: Wanted, gates: Sequence[Gate] = (), *, share: bool) -> Launch:
        spec, key, client, found = wanted

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
                described(spec, key, "miss" if self._cache.used_by(spec) else "bypass"),
                max_log_bytes=self._max_log_bytes * min(BATCH_LOGS, max(1, len(spec.children))),
                describe_error=self._describe_error,
                client=client,
            )
            run.marks, run.refreshes = found.marks, spec.cache.mode == "refresh"
            run.on_finished(partial(self._ended, spec))
            run.start(self.recipes[spec.recipe].run(spec, partial(self._ask, run, set())), passes)
            return run

        run, _ = self._registry.start_or_join(key, create, client, join=False, share=share)
        if found.marks is not None and spec.cache.mode == "use":
            self._cache.missed()
        return Launch(run, joined=False)

    def _ended(self, spec: RunSpec, run: Run) -> None:
        if run.marks is not None:
            # From the very moment of its end the answer is found in the cache.
            self._cache.keep(spec, run, run.marks)
        if self._history is not None:
            self._history.record(spec, run, run.marks)

    def _replay(self, wanted: Wanted, entry: Stored) -> Run:
        """A kept answer as a run: at once, or at the pace that was asked for."""
        spec, key, client, _ = wanted
        age = entry.age_seconds
        info = described(
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
            run.start(paced(entry.recording, spec.cache.pace), [self._paced.admit()])
            return run

        return self._registry.start_or_join(key, create, client, join=False, share=False)[0]

    def _revalidate(self, wanted: Wanted) -> None:
        """Compute a stale answer anew while it is given out, once in a while.

        Only by the model itself: an answer of a fallback would not be kept.
        """
        spec, key, client, found = wanted
        now = time.monotonic()
        if now < self._revalidated.get(key, 0.0) or self._registry.joinable(key, client):
            return
        if len(self._revalidated) >= MAX_REVALIDATED:
            self._revalidated.clear()
        self._revalidated[key] = now + REVALIDATE_SECONDS
        fresh = replace(
            spec,
            cache=replace(spec.cache, mode="refresh"),
            fallback_models=(),
            abandon_seconds=None,
            parent=None,
        )
        # Without room now, one who asks later tries again.
        with suppress(TooManyRuns, Draining):
            self._start(Wanted(fresh, key, Client("revalidate"), found), share=True)

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
