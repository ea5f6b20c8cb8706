"""What each client may have at once and over time, held to."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from llm_stream.access.counters import Counters, MemoryCounters, Rate, Window
from llm_stream.access.principal import Principal
from llm_stream.engine.gate import Gate
from llm_stream.engine.run import Run
from llm_stream.errors import LimitReached, LogUnavailable
from llm_stream.history.spending import SPENDERS, tokens_in

MINUTE: Final = Window("minute", 60)
DAY: Final = Window("day", 86_400)


class ClientLimits:
    """Holds every client to its allowance; an observer of runs, for the tokens they cost.

    Rates and sums are those of all replicas where they share a Redis, and of this process while it
    does not answer. What is open at once - runs, sockets - is counted in each process.

    Args:
        shared: counts of all replicas; None: there are no others.
        clock: seconds since 1970.
        steady: monotonic seconds.
    """

    def __init__(
        self,
        shared: Counters | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._own = MemoryCounters(clock, steady)
        self._clock = clock
        self._gates: dict[str, tuple[int, Gate]] = {}
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

    def gates(self, principal: Principal) -> tuple[Gate, ...]:
        """The gate that the client's runs pass, if it has one."""
        slots = principal.allowance.concurrent_runs
        if slots is None:
            return ()
        known = self._gates.get(principal.id)
        if known is None or known[0] != slots:
            # Of a limit that was changed the runs under way do not count.
            known = self._gates[principal.id] = slots, Gate(slots, 0, "your key")
        return (known[1],)

    @contextmanager
    def socket(self, principal: Principal) -> Iterator[None]:
        """One socket of the client, open while the block runs.

        Raises:
            LimitReached: it has as many as it may have.
        """
        most = principal.allowance.sockets
        if most is not None and self._sockets[principal.id] >= most:
            raise LimitReached(f"Your key may have {most} sockets at once.", retry_after_ms=1000)
        self._sockets[principal.id] += 1
        try:
            yield
        finally:
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


def _reached(what: str, seconds: float) -> LimitReached:
    return LimitReached(
        f"Your key may have {what}. Try again later.", retry_after_ms=max(1, int(seconds * 1000))
    )
