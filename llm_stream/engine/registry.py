"""Every run of this process: start or join by fingerprint, find, retire, drain."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import Final, Literal, Protocol

from llm_stream.engine.replay import REPLAY_BYTES, Replay
from llm_stream.engine.retention import RUN_BYTES, Retention
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client
from llm_stream.errors import Draining, RunExpired, UnknownRun

log = logging.getLogger(__name__)

TOMBSTONES: Final = 20_000
"""Ids of retired runs remembered, to tell "expired" from "never was"; about 2 MB."""

REPLAY_SHARE: Final = 8
"""Part of the retained bytes that replays of cached answers have for themselves, so that a flood
of them pushes out no run that was paid for."""


class RunObserver(Protocol):
    """Told of every run's beginning and end; must not raise or block."""

    def run_started(self, run: Run) -> None:
        """The run's first event is in its log."""

    def run_finished(self, run: Run) -> None:
        """The run's terminal event is in its log."""


class RunRegistry:
    """Holds live runs, and finished ones until retention ends.

    Args:
        retention_seconds: how long a finished run can still be read.
        retention_bytes: most bytes of finished runs and their logs; the oldest go first.
        observers: told of each run.
        clock: monotonic seconds.

    Attributes:
        on_added: told of each run that can be found from now on, and of each replay that is read;
            must not raise.
    """

    def __init__(
        self,
        *,
        retention_seconds: float,
        retention_bytes: int,
        observers: tuple[RunObserver, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observers = observers
        self.on_added: Callable[[Run], None] | None = None
        self._runs: dict[str, Run] = {}
        self._live: dict[str, Run] = {}
        self._shared: dict[str, Run] = {}
        self._ended, self._replays = (
            Retention(
                seconds=retention_seconds,
                max_bytes=max(1, retention_bytes // share),
                tombstones=TOMBSTONES,
                forget=self.forget,
                clock=clock,
            )
            for share in (1, REPLAY_SHARE)
        )
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    def joinable(self, key: str, client: Client) -> Run | None:
        """The live run of this fingerprint that this client may join."""
        run = self._shared.get(key)
        # A run that was told to end is still in the table until it has. And one that waits for
        # a slot may wait for the very recipe that would join it, which would be for ever.
        if run is None or run.ending or (client.inner and run.waits_for_slot):
            return None
        return run

    def start_or_join(
        self,
        key: str,
        create: Callable[[], Run],
        client: Client,
        *,
        join: bool = True,
        share: bool = True,
    ) -> tuple[Run, bool]:
        """The live run of this fingerprint, or a new one; says whether it was joined.

        Args:
            key: the fingerprint.
            create: makes and starts the run; called at most once, before this returns.
            client: who wants it. A recipe may start inner runs also while draining.
            join: whether this client may join an equal call.
            share: whether equal calls may join this one.

        Raises:
            Draining: the service takes no new runs. Joining is still possible.
        """
        if join and (run := self.joinable(key, client)) is not None:
            run.join(client)
            return run, True
        if self.draining and not client.inner:
            raise Draining(
                "The service is shutting down. Send the request again; another instance answers.",
                retry_after_ms=2000,
            )
        run = create()
        self._runs[run.id] = self._live[run.id] = run
        self._idle.clear()
        if share:
            self._shared[key] = run
        run.on_finished(self._on_finished)
        if self.on_added is not None:
            self.on_added(run)
        self._tell("run_started", run)
        return run, False

    def _on_finished(self, run: Run) -> None:
        # One that was handed over may have come back: then another run has its id here.
        if self._live.get(run.id) is run:
            del self._live[run.id]
        if self._shared.get(run.info.key) is run:
            del self._shared[run.info.key]
        if self._runs.get(run.id) is run:
            self._ended.keep(run, RUN_BYTES + run.log.bytes)
        if not self._live:
            self._idle.set()
        self._tell("run_finished", run)
        self.retire()

    def _tell(self, what: Literal["run_started", "run_finished"], run: Run) -> None:
        for observer in self._observers:
            try:
                getattr(observer, what)(run)
            except Exception:
                # One that fails must not keep the run, or the other observers, from its end.
                log.exception("%s of %s failed in %s", what, run.id, observer)

    def add_replay(self, run: Replay) -> None:
        """Keep a replay, which has ended already, where it can be found."""
        self._runs[run.id] = run
        if self.on_added is not None:
            run.on_read = self.on_added
        self._replays.keep(run, REPLAY_BYTES)
        # A hit pays for its own kind; the timer looks after the others.
        _ = self.retire() if self._timer is None else self._replays.retire()

    def forget(self, run: Run) -> None:
        """Find this run here no more."""
        if self._runs.get(run.id) is run:
            del self._runs[run.id]

    def retire(self) -> int:
        """Forget ended runs over retention, oldest first; how many went."""
        gone = self._ended.retire() + self._replays.retire()
        if self._timer is None:
            waits = [kept.next_in_seconds for kept in (self._ended, self._replays)]
            if (seconds := min((w for w in waits if w is not None), default=None)) is not None:
                self._timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)
        return gone

    def _on_timer(self) -> None:
        self._timer = None
        self.retire()

    def find(self, run_id: str, owner: str = "") -> Run:
        """The run of that id.

        Raises:
            RunExpired: it was here and has been retired.
            UnknownRun: it never was here, or belongs to another owner.
        """
        run = self._runs.get(run_id)
        if run is not None and run.info.owner == owner:
            return run
        if self._ended.expired(run_id, owner) or self._replays.expired(run_id, owner):
            raise RunExpired(
                f"The events of {run_id} are no longer kept. Start the run again.", field="run"
            )
        raise UnknownRun(
            f"There is no run {run_id[:64]!r}. Use an id from X-Run-Id or GET /v1/runs.",
            field="run",
        )

    def get(self, run_id: str) -> Run | None:
        """The run of that id, whoever owns it; None if it is not here."""
        return self._runs.get(run_id)

    def added(self) -> list[Run]:
        """Every run that can be found and that `on_added` is told of, oldest first."""
        return [run for run in self._runs.values() if not isinstance(run, Replay) or run.was_read]

    def newest(self, owner: str = "", *, hidden: bool = False) -> Iterator[Run]:
        """Runs of the owner, newest first; those asked for by recipes only if `hidden`."""
        for run in reversed(self._runs.values()):
            if run.info.owner == owner and (hidden or run.info.parent is None):
                yield run

    @property
    def live(self) -> int:
        """Runs without a terminal event."""
        return len(self._live)

    @property
    def queued(self) -> int:
        """Live runs that wait for a slot."""
        return sum(1 for run in self._live.values() if run.state == "queued")

    @property
    def readers(self) -> int:
        """Open subscriptions over all live runs."""
        return sum(run.readers for run in self._live.values())

    @property
    def log_bytes(self) -> int:
        """Memory of all logs, live and finished, and of finished runs beside them."""
        kept = self._ended.bytes + self._replays.bytes
        return kept + sum(run.log.bytes for run in self._live.values())

    async def drain(self, seconds: float) -> bool:
        """Refuse new runs and wait for the live ones; whether all ended in time.

        Cancelling the wait leaves the registry draining.
        """
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Cancel what still runs (reason `shutdown`), wait until it has ended, stop timers."""
        self.draining = True
        for run in tuple(self._live.values()):
            run.cancel("shutdown")
        await self._idle.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
