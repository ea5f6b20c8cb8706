"""What each client may have at once and over time, held to."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from llm_stream.access.counters import Counters, MemoryCounters, Rate, Window
from llm_stream.access.principal import Principal
from llm_stream.engine.gate import Gate, Pass
from llm_stream.engine.run import Run
from llm_stream.errors import LimitReached, LogUnavailable
from llm_stream.history.spending import SPENDERS, tokens_in

if TYPE_CHECKING:
    from llm_stream.access.places import HeldPlaces

MINUTE: Final = Window("minute", 60)
DAY: Final = Window("day", 86_400)


class ClientLimits:
    """Holds every client to its allowance; an observer of runs, for the tokens they cost.

    Everything is counted over all replicas where they share a Redis, and in this process while it
    does not answer. What is open at once - runs, sockets - is held to the limit here in any case.

    Args:
        shared: counts of all replicas; None: there are no others.
        places: what this one has open, among what all have; None: there are no others.
        clock: seconds since 1970.
        steady: monotonic seconds.
    """

    def __init__(
        self,
        shared: Counters | None = None,
        places: "HeldPlaces | None" = None,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._own = MemoryCounters(clock, steady)
        self._clock = clock
        self._places = places
        self._rooms: dict[str, ClientRoom] = {}
        self._sockets: Counter[str] = Counter()
        self._spent: dict[str, int] = {}
        self._adding: asyncio.Task[None] | None = None

    async def admit(self, principal: Principal, runs: int = 1) -> None:
        """Let the client start so many runs more, all or none; later ones wait for a batch's.

        Raises:
            LimitReached: it has had what it may have; it says when there is more.
        """
        allowance = principal.allowance
        if (rate := allowance.runs_per_second) is not None:
            burst = max(1, int(rate))
            wait = await self._take(principal.id, Rate(rate, burst), runs)
            if wait > 0:
                raise _reached(f"{rate:g} runs a second", wait)
        limits = [(MINUTE, allowance.tokens_per_minute), (DAY, allowance.tokens_per_day)]
        asked = [(window, limit) for window, limit in limits if limit is not None]
        if not asked:
            return
        sums = await self._sums(principal.id, [window for window, _ in asked])
        for (window, limit), spent in zip(asked, sums, strict=True):
            if spent >= limit:
                raise _reached(f"{limit} tokens a {window.name}", window.left(self._clock()))

    def counts(self, principal: Principal) -> bool:
        """Whether anything is counted at a client's starts; else `admit` lets them have all."""
        allowance = principal.allowance
        limits = (
            allowance.runs_per_second, allowance.tokens_per_minute, allowance.tokens_per_day,
        )  # fmt: skip
        return limits != (None, None, None)

    def room(self, principal: Principal) -> "ClientRoom | None":
        """Where the client's runs need a place, if there is a limit to them."""
        slots = principal.allowance.concurrent_runs
        if slots is None:
            return None
        known = self._rooms.get(principal.id)
        if known is None or known.slots != slots:
            # Of a limit that was changed the runs under way do not count here.
            known = ClientRoom(principal.id, slots, self._places)
            self._rooms[principal.id] = known
        return known

    @asynccontextmanager
    async def socket(self, principal: Principal) -> AsyncIterator[None]:
        """One socket of the client, open while the block runs.

        Raises:
            LimitReached: it has as many as it may have.
        """
        most, free = principal.allowance.sockets, None
        if most is not None and self._sockets[principal.id] >= most:
            raise _too_many_sockets(most)
        self._sockets[principal.id] += 1
        try:
            if most is not None and self._places is not None:
                free = await self._places.take(f"sockets:{principal.id}", most)
                if free is None:
                    raise _too_many_sockets(most)
            yield
        finally:
            if free is not None:
                free()
            self._sockets[principal.id] -= 1
            if not self._sockets[principal.id]:
                del self._sockets[principal.id]

    def run_started(self, run: Run) -> None:
        """See `RunObserver`."""

    def run_finished(self, run: Run) -> None:
        """Count what the run has spent; those of recipes report what their inner runs have."""
        if not run.info.owner or run.info.cache == "hit" or run.info.recipe not in SPENDERS:
            return
        figures = run.statistics()
        said, read, written = run.tally.said_chars, figures.input_tokens, figures.output_tokens
        # Of what was cancelled nothing is reported; it must not be free. As in the account.
        spent = (tokens_in(run.info.asked_chars) if said else 0) if read is None else read
        spent += tokens_in(said) if written is None else written
        if not spent:
            return
        self._spent[run.info.owner] = self._spent.get(run.info.owner, 0) + spent
        if self._adding is None or self._adding.done():
            self._adding = asyncio.create_task(self._add(), name="client-tokens")

    async def _add(self) -> None:
        while self._spent:
            owner, spent = self._spent.popitem()
            for window in (MINUTE, DAY):
                await self._own.add(owner, window, spent)
                if self._shared is not None:
                    # What Redis does not hear is counted here.
                    with suppress(LogUnavailable):
                        await self._shared.add(owner, window, spent)

    async def _take(self, name: str, rate: Rate, count: int) -> float:
        if self._shared is not None:
            with suppress(LogUnavailable):
                return await self._shared.take(name, rate, count)
        return await self._own.take(name, rate, count)

    async def _sums(self, name: str, windows: list[Window]) -> list[int]:
        if self._shared is not None:
            with suppress(LogUnavailable):
                return await self._shared.sums(name, windows)
        return await self._own.sums(name, windows)

    async def settled(self) -> None:
        """Return when all that runs have spent so far is counted."""
        if self._adding is not None:
            await asyncio.gather(self._adding, return_exceptions=True)

    def start(self) -> None:
        """Renew what clients have open from now on; `close` ends it."""
        if self._places is not None:
            self._places.start()

    async def close(self) -> None:
        """Count what is left, and give back what clients had open."""
        await self.settled()
        if self._places is not None:
            await self._places.close()


class ClientRoom:
    """Where the runs of a client have their places: here, and among those of all replicas.

    Args:
        client: its id.
        slots: runs it may have at once.
        places: of all replicas; None: there are no others.
    """

    def __init__(self, client: str, slots: int, places: "HeldPlaces | None") -> None:
        self._name = f"runs:{client}"
        self._places = places
        self._gate = Gate(slots, 0, "your key")
        self.slots = slots

    async def admit(self, party: str) -> Pass:
        """See `Room`."""
        ticket = self._gate.admit(party)
        if self._places is None:
            return ticket
        free = None
        try:
            free = await self._places.take(self._name, self.slots)
            if free is None:
                raise self._gate.refusal()
        finally:
            if free is None:
                ticket.leave()
        ticket.on_leave = free
        return ticket


def _too_many_sockets(most: int) -> LimitReached:
    return LimitReached(f"Your key may have {most} sockets at once.", retry_after_ms=1000)


def _reached(what: str, seconds: float) -> LimitReached:
    return LimitReached(
        f"Your key may have {what}. Try again later.", retry_after_ms=max(1, int(seconds * 1000))
    )
