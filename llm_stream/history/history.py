"""`History`: what the rest of the service knows of the database."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from llm.logs import LogStore

from llm_stream.cache.stored import Stored
from llm_stream.engine.run import Run
from llm_stream.history import ledger, retention, sidetable, usage
from llm_stream.history.conversations import Conversations
from llm_stream.history.database import transaction
from llm_stream.history.facts import Facts
from llm_stream.history.jobs import Forgetting
from llm_stream.history.marks import Marks
from llm_stream.history.past import Past
from llm_stream.history.reader import FIND_SECONDS, Reader
from llm_stream.history.reuses import Reuses
from llm_stream.history.turns import Finished
from llm_stream.history.writer import RETRY_SECONDS, Writer
from llm_stream.history.writing import Writing
from llm_stream.recipes.recorder import Reusing
from llm_stream.recipes.spec import RunSpec

DAY: Final = 86_400

QUEUE_RUNS: Final = 10_000
QUEUE_BYTES: Final = 1 << 27
"""Ended runs that wait for the writer keep their logs in memory: so much of them at most."""

FLUSH_SECONDS: Final = 5.0
"""What is queued at the end has that long to be written."""

FORGET_SECONDS: Final = 5.0
"""How long `forget` waits for the writer; until it is done nothing is found."""

SETTLE_SECONDS: Final = 1.0
"""How long whoever asks waits for what has just ended to be written."""

USAGE_SECONDS: Final = 20.0
"""Sums that take longer are given up."""

MAX_VOIDED: Final = 10_000
"""Names whose last forgetting is remembered; beyond, all runs that began before now are void."""


class History:
    """Finished runs in llm's log database. No fault in here ever touches a run.

    Args:
        path: the database; None: `logs.db` in llm's user folder.
        days: how long runs are kept.
        max_bytes: of the database; beyond it the oldest of our runs go.
        fresh_seconds: how long an answer is fresh unless its request says otherwise.
        stale_seconds: how long beyond that it may still be given.
        queue_runs, queue_bytes: most ended runs that wait for the writer; more are dropped.
        retry_seconds: pause after a fault of the database.

    Attributes:
        conversations: what runs were asked and have answered.
        past: runs that have ended, to be listed and looked at.
    """

    def __init__(  # noqa: PLR0913 - what the configuration says
        self,
        path: Path | None,
        *,
        days: float,
        max_bytes: int,
        fresh_seconds: float,
        stale_seconds: float = 0.0,
        queue_runs: int = QUEUE_RUNS,
        queue_bytes: int = QUEUE_BYTES,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._days = days
        self._max_bytes = max_bytes
        self._fresh_seconds = fresh_seconds
        self._stale_seconds = stale_seconds
        self._writer = Writer(
            path,
            self._upkeep,
            max_jobs=queue_runs,
            max_bytes=queue_bytes,
            retry_seconds=retry_seconds,
        )
        self._reader = Reader(path, self._writer.count_failure)
        # Of its own: no look-up waits for the sums of a month, or for what people read.
        self._accountant = Reader(path, self._writer.count_failure)
        self._reuses = Reuses(self._writer.put)
        self._marks = Marks(self._writer)
        self.conversations = Conversations(
            lambda ask: self._reader.told(ask, FIND_SECONDS), self._writer.put, self._settled
        )
        self.past = Past(self._accountant, self._settled)
        self._voided: dict[str, float] = {}
        self._void_before = float("-inf")
        self._forgetting = 0
        self._forgets = 0

    def start(self) -> None:
        """Begin to write; the database is opened by the writer's thread."""
        self._writer.start()

    def facts(self) -> Facts:
        """The figures now."""
        return self._writer.facts()

    def record(self, spec: RunSpec, run: Run, marks: Mapping[str, int] | None) -> None:
        """Queue a run that has ended. Cheap; whatever happens to it later is only counted.

        Args:
            spec: what was asked.
            run: the run, its terminal event in its log.
            marks: see `Stored`; None: its answer is not to be found again.
        """
        if marks is not None and self._is_void(run, marks):
            marks = None
        finished = Finished(spec, run, marks, time.time())
        self._writer.put(Writing(finished, self._fresh_seconds, self._stale_seconds))

    def reused(self, spec: RunSpec, how: Reusing) -> None:
        """Count a caller's call that cost none of a model. Cheap."""
        self._reuses.count(spec, how)

    async def usage(
        self, dimensions: Sequence[usage.Dimension], asked: usage.Asked
    ) -> usage.Account:
        """The account of what is asked for, by groups.

        What ended before this is called is in it, unless the writer is a second behind.

        Raises:
            HistoryUnavailable: the database does not answer.
        """
        self._reuses.flush()
        await self._settled()
        account = partial(usage.account, dimensions=dimensions, asked=asked)
        found = await self._accountant.told(account, USAGE_SECONDS)
        return found or usage.Account({}, usage.Sums(), None)

    async def _settled(self) -> None:
        await self._marks.passed(SETTLE_SECONDS)

    def _is_void(self, run: Run, names: Mapping[str, int]) -> bool:
        """Whether a name of its was forgotten after it had begun."""
        born = run.log.born
        return born <= self._void_before or any(
            born <= self._voided.get(name, born - 1) for name in names
        )

    async def find(self, key: str) -> Stored | None:
        """The newest answer to this fingerprint, however old; None also after any fault."""
        if self._forgetting:
            return None
        forgets = self._forgets
        entry = await self._reader.find(key)
        return entry if forgets == self._forgets else None

    async def forget(
        self,
        keys: Sequence[str] = (),
        *,
        name: str | None = None,
        older_than_seconds: float = 0.0,
    ) -> int:
        """Let answers be found no more, those still queued included; how many there were.

        While the database cannot be written this returns 0 after a moment. Nothing is found
        until it has been done.

        Args:
            keys: fingerprints.
            name: everything under this name (`names_of`), runs under way included ...
            older_than_seconds: ... or only what ended that long ago.
        """
        if name is not None and not older_than_seconds:
            self._void(name)
        loop = asyncio.get_running_loop()
        counted: asyncio.Future[int] = loop.create_future()
        job = Forgetting(
            partial(sidetable.forget, keys=keys, name=name, older_than_seconds=older_than_seconds),
            lambda count: loop.call_soon_threadsafe(self._forgot, counted, count),
        )
        self._forgets += 1
        if not self._writer.put(job):
            return 0
        self._forgetting += 1
        if self.facts().state == "failing":
            return 0
        done, _ = await asyncio.wait([counted], timeout=FORGET_SECONDS)
        return counted.result() if done else 0

    def _void(self, name: str) -> None:
        self._voided.pop(name, None)
        self._voided[name] = time.monotonic()
        if len(self._voided) > MAX_VOIDED:
            self._void_before = time.monotonic()
            self._voided.clear()

    def _forgot(self, counted: asyncio.Future[int], count: int) -> None:
        self._forgetting -= 1
        self._forgets += 1
        if not counted.done():
            counted.set_result(count)

    def _upkeep(self, store: LogStore) -> bool:
        """One step of retention, in the writer's thread; whether there is more to do."""
        connection, now = store.db.conn, time.time()
        with transaction(connection):
            expired = sidetable.expire(connection, now, retention.RUNS_AT_ONCE)
            before = now - self._days * DAY
            expired = max(expired, ledger.expire(connection, before, retention.RUNS_AT_ONCE))
        for choose in self._choices(now):
            with transaction(connection):
                if runs := choose(store):
                    retention.delete(connection, runs)
            if runs:
                retention.give_back(connection)
                return True
        return expired == retention.RUNS_AT_ONCE

    def _choices(self, now: float) -> list[Callable[[LogStore], list[str]]]:
        before = now - self._days * DAY
        return [
            lambda store: retention.too_old(store.db.conn, before),
            lambda store: retention.over_size(store.db.conn, self._max_bytes),
        ]

    async def close(self) -> None:
        """Write what is queued, within seconds, and end all threads. Idempotent."""
        self._reuses.close()
        await asyncio.to_thread(self._writer.close, FLUSH_SECONDS)
        await self._reader.close()
        await self._accountant.close()
