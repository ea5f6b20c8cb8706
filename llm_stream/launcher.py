"""The one door: a spec becomes a live, joined or replayed `Run`, whichever wire it came by."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from llm_stream.cache.answers import AnswerCache, Lookup
from llm_stream.cache.attempts import Attempts
from llm_stream.engine.admission import Admission
from llm_stream.engine.flights import Flights
from llm_stream.engine.gate import Gate, Pass, Room, admit_all
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.replay import Replay
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, DescribeError
from llm_stream.errors import Draining, NotCached, Overloaded, TooManyRuns
from llm_stream.production import Production
from llm_stream.recipes.description import described
from llm_stream.recipes.recipe import Recipe
from llm_stream.recipes.recorder import Recorder
from llm_stream.recipes.spec import RunSpec
from llm_stream.replays import Replays

Turn = Callable[[], Awaitable[bool]] | None
"""Returns when a call may go on; whether it had to wait for that. None: it may at once."""


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
    gates: Sequence[Gate]
    room: Room | None


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

    Attributes:
        production: what makes its runs.
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
        self._replays = Replays(
            registry, max_log_bytes=max_log_bytes, describe_error=describe_error
        )
        self._attempts = Attempts()
        self._admission = Admission[Launch]()
        self._flights = flights
        self._history = history
        self.production = Production(
            self.recipes,
            cache,
            self.launch,
            max_log_bytes=max_log_bytes,
            describe_error=describe_error,
            history=history,
            flights=flights,
        )

    async def launch(  # noqa: PLR0913 - all there is to say of a call
        self,
        spec: RunSpec,
        gates: Sequence[Gate] = (),
        room: Room | None = None,
        *,
        claim: str = "",
        request: str = "",
        turn: Turn = None,
    ) -> Launch:
        """Join an equal run that is under way, replay a kept answer, or start.

        Waits for cache and other replicas at most; see `CacheControl` for what each mode does.

        Args:
            spec: what to run.
            gates: gates to pass before the service's own, the connection's say.
            room: where it needs a place. A joined or replayed run passes nothing of all this.
            claim: names the client, so that its cancel is its own (`Run.release`).
            request: finds its request in the log.
            turn: waited for between look-up and start.

        Raises:
            NotCached: mode `only`, and there is no answer (the caller's doing).
            TooManyRuns: a gate and its queue are full.
            Draining: the service takes no new runs.
        """
        if (replay := self.at_hand(spec, request)) is not None:
            return Launch(replay, joined=False)
        client = Client(claim, spec.abandon_seconds, spec.parent is not None, request)
        launch = await self._launched(spec, client, gates, room, turn)
        if self._history is not None and spec.parent is None:
            if launch.joined:
                self._history.reused(spec, "joined")
            elif launch.run.info.cache == "hit":
                self._history.reused(spec, "cached")
        return launch

    def at_hand(self, spec: RunSpec, request: str) -> Replay | None:
        """A kept answer that can be given at once: fresh, and in this process; for `launch` too.

        Args:
            spec: what to run.
            request: finds its request in the log.
        """
        identity = self.recipes[spec.recipe].identity(spec)
        if identity is None or spec.cache.pace != "instant":
            return None
        key = spec.fingerprint(identity)
        entry = self._cache.at_hand(spec, key)
        if entry is None:
            return None
        if self._history is not None and spec.parent is None:
            self._history.reused(spec, "cached")
        return self._replays.instant(spec, key, request, entry)

    async def _launched(
        self, spec: RunSpec, client: Client, gates: Sequence[Gate], room: Room | None, turn: Turn
    ) -> Launch:
        identity = self.recipes[spec.recipe].identity(spec)
        key = spec.fingerprint(identity or "")
        mode = spec.cache.mode
        found = Lookup() if identity is None else await self._cache.find(spec, key)
        if turn is not None and await turn() and identity is not None and found.entry is None:
            found = await self._cache.find(spec, key)  # it may be there by now
        wanted = Wanted(spec, key, client, found, gates, room)
        if found.entry is not None:
            if found.stale:
                await self._revalidate(wanted)
            return Launch(self._replays.replay(spec, key, client, found.entry), joined=False)
        if (joined := self._joined(wanted)) is not None:
            return joined
        if mode == "only" and identity is not None:
            raise NotCached("There is no answer to this request in the cache.", field="cache.mode")
        share = mode != "bypass" and identity is not None
        if self._flights is None or not share or mode == "refresh":
            return await self._admitted(wanted, share=share)
        run = await self._flights.join(key, client, spec.owner, found.marks or {})
        joined = Launch(run, joined=True) if run is not None else self._joined(wanted)
        if joined is not None:
            return joined  # it began elsewhere, or while we asked
        launched = None
        try:
            launched = await self._admitted(wanted, share=share)
        finally:
            if launched is None:
                self._flights.release(key)
        self._flights.hold(key, launched.run)
        return launched

    async def _admitted(self, wanted: Wanted, *, share: bool) -> Launch:
        """Start with a place in the room, or join an equal run that has got one meanwhile."""
        if wanted.room is None:
            return self._start(wanted, share=share)
        return await self._admission.enter(
            wanted.room,
            wanted.spec.owner,
            wanted.key if share else None,
            join=partial(self._joined, wanted),
            start=partial(self._start, wanted, share=share),
        )

    def _joined(self, wanted: Wanted) -> Launch | None:
        """A share in the run under way that this call may share, if there is one.

        Not one that was asked for before an invalidation that this call knows of; a refresh
        shares with a refresh only.
        """
        if wanted.spec.cache.mode == "bypass":
            return None
        run = self._registry.joinable(wanted.key, wanted.client)
        if run is None or (wanted.spec.cache.mode == "refresh" and not run.info.refreshes):
            return None
        now, then = wanted.found.marks or {}, run.marks or {}
        if any(now.get(name, mark) != mark for name, mark in then.items()):
            return None
        run.join(wanted.client)
        run.marks = None if run.marks is None else {**now, **then}
        return Launch(run, joined=True)

    def _start(self, wanted: Wanted, *places: Pass, share: bool) -> Launch:
        spec, key, client, found, gates, _ = wanted
        spec = spec.asked_by(client.request)

        def create() -> Run:
            info = described(spec, key, "miss" if self._cache.used_by(spec) else "bypass")
            passes = [] if spec.parent else admit_all((*gates, self._gate), spec.owner)
            passes[:0] = places
            return self.production.begin(spec, info, client, marks=found.marks, passes=passes)

        run, _ = self._registry.start_or_join(key, create, client, join=False, share=share)
        if found.marks is not None and spec.cache.mode == "use":
            self._cache.missed()
        return Launch(run, joined=False)

    async def _revalidate(self, wanted: Wanted) -> None:
        """Compute a stale answer anew while it is given out, once in a while.

        Only by the model itself: an answer of a fallback would not be kept.
        """
        spec, key, client = wanted[:3]
        if self._registry.joinable(key, client) or not self._attempts.due(key):
            return
        cache, origin = replace(spec.cache, mode="refresh"), spec.origin or spec.recipe
        fresh = replace(
            spec, cache=cache, fallback_models=(), abandon_seconds=None, parent=None, origin=origin
        )
        # Without room now, one who asks later tries again.
        with suppress(TooManyRuns, Draining, Overloaded):
            asks = Client("revalidate", request=client.request)
            await self._admitted(wanted._replace(spec=fresh, client=asks), share=True)
