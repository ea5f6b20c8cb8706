"""Runs of lost replicas that are this one's now: run again as if launched here, or recorded."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.eventstore import EVENT_OVERHEAD_BYTES
from llm_stream.engine.flights import Flights, outdated
from llm_stream.engine.gate import Gate
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, RunInfo
from llm_stream.errors import StreamError
from llm_stream.events import Event
from llm_stream.production import Production
from llm_stream.recipes.spec import RunSpec, load_spec

RETURN_SECONDS: Final = 30.0
"""Least patience of a run that is run again: its readers need time to come back."""


class Restarter:
    """What a takeover leaves to be done.

    Args:
        production: makes the runs.
        registry: where they live.
        gate: how many runs the whole service works on at once.
        flights: leases on calls.
    """

    def __init__(
        self, production: Production, registry: RunRegistry, gate: Gate, flights: Flights
    ) -> None:
        self._production = production
        self._registry = registry
        self._gate = gate
        self._flights = flights

    async def restart(
        self, info: RunInfo, spec: bytes, epoch: int, earlier: Sequence[Event]
    ) -> Run:
        """Run again what another replica has lost, under its id and behind the events it has.

        It is a run like any: equal calls join it, its answer is kept and recorded, and it is
        abandoned when nobody reads it. Waits for the cache and for the lease on its call at most.

        Args:
            info: of the run.
            spec: what to run, as `dump_spec` wrote it.
            epoch: of what it says from now on.
            earlier: what it has said.

        Raises:
            ValueError: this is no spec.
            KeyError: there is no such recipe.
            Draining: the service takes no new runs.
        """
        known = replace(load_spec(spec), request=info.request)
        mode, recipe = known.cache.mode, self._production.recipes[known.recipe]
        share = mode != "bypass" and recipe.identity(known) is not None
        marks = None
        if share:
            # A call that is made now: what was invalidated before does not concern its answer.
            anew = replace(known, cache=replace(known.cache, mode="refresh"))
            marks = (await self._production.cache.find(anew, info.key)).marks
        leased = share and await self._flights.claim(info.key)

        patience = known.abandon_seconds
        client = Client("", None if patience is None else max(patience, RETURN_SECONDS))

        def create() -> Run:
            size = sum(len(event) + EVENT_OVERHEAD_BYTES for event in earlier)
            log = EventLog(
                info.id,
                max_bytes=size + self._production.log_bytes(known),
                epoch=epoch,
                earlier=earlier,
            )
            passes = [self._gate.admit_patiently(known.owner)]
            return self._production.begin(known, info, client, marks=marks, passes=passes, log=log)

        # An equal call may have begun here since the replica was lost: that one is joined.
        under_way = self._registry.joinable(info.key, Client())
        share = share and (under_way is None or outdated(under_way, marks or {}))
        if leased and under_way is not None:
            self._flights.hold(info.key, under_way)
        try:
            run, _ = self._registry.start_or_join(info.key, create, client, join=False, share=share)
        except StreamError:
            if leased:
                self._flights.release(info.key)
            raise
        if leased and share:
            self._flights.hold(info.key, run)
        run.interest.expect()
        return run

    def record(self, info: RunInfo, spec: bytes, run: Run) -> None:
        """Record a run that has ended with its replica, which could not.

        Args:
            info: of the run.
            spec: what was asked, where it was kept; else only what the run is about is known.
            run: a copy of it, with all its events.
        """
        history = self._production.history
        if history is not None and info.cache != "hit":
            history.record(_asked(info, spec), run, None)


def _asked(info: RunInfo, spec: bytes) -> RunSpec:
    try:
        known = load_spec(spec)
    except ValueError:
        known = RunSpec(recipe=info.recipe, model=info.model, owner=info.owner, tags=info.tags)
    return replace(known, parent=info.parent, request=info.request)
