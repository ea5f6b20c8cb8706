"""The one thread that writes: batches, one transaction each, and no fault that leaves it."""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

from llm_stream.history import batches
from llm_stream.history.batches import Job
from llm_stream.history.breath import Breath
from llm_stream.history.database import (
    Store,
    default_path,
    file_bytes,
    identity,
    is_busy,
    open_store,
)
from llm_stream.history.facts import Facts, State

log = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.2
"""How long a job waits for others to share its transaction, unless somebody waits for it."""

BEHIND_BATCHES: Final = 1.5
"""Where so many are queued, there is no time for pauses."""

RETRY_SECONDS: Final = 5.0
"""After a fault of the database the next attempt waits that long."""

LAST_RETRY_SECONDS: Final = 0.1
"""The same pause when the end is near."""

UPKEEP_SECONDS: Final = 60.0
"""How often retention is looked after."""

WARN_SECONDS: Final = 60.0
"""At most one warning in that time."""


class Writer:
    """Owns the thread and its connection.

    Args:
        path: the database; None: llm's own.
        upkeep: called now and then with the open store, again at once while it returns True.
        max_jobs, max_bytes: bounds of the queue; what may be dropped is dropped beyond them.
        retry_seconds: pause after a fault.

    Attributes:
        breath: the thread's pauses.
    """

    def __init__(
        self,
        path: Path | None,
        upkeep: Callable[[Store], bool],
        *,
        max_jobs: int,
        max_bytes: int,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._path = path
        self._upkeep = upkeep
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._retry_seconds = retry_seconds
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._identity = self._bytes = 0
        self._written = self._dropped = self._failures = self._file_bytes = 0
        self._state: State = "starting"
        self._warned_at = float("-inf")
        self._retry_at = self._upkeep_at = self._write_at = 0.0
        self._give_up_at: float | None = None
        self._store: Store | None = None
        self.breath = Breath()
        self._told, self._last_error = False, ""
        self._thread: threading.Thread | None = None

    def facts(self) -> Facts:
        """The figures now; from any thread."""
        return Facts(
            self._state, len(self._jobs), self._written, self._dropped, self._failures,
            self._last_error, self._file_bytes,
        )  # fmt: skip

    def start(self) -> None:
        """Begin to work; the database is opened by the thread."""
        # A disk that hangs must not keep the process from its end, hence a daemon.
        self._thread = threading.Thread(target=self._work, name="history-writer", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> bool:
        """Queue a job; False if it was dropped. Never waits for the disk."""
        with self._changed:
            full = len(self._jobs) >= self._max_jobs or self._bytes + job.size > self._max_bytes
            if self._give_up_at is not None or (job.optional and full):
                self._dropped += 1
                return False
            self._jobs.append(job)
            self._bytes += job.size
            # Woken once for many jobs: waking the thread costs more than a job does.
            if len(self._jobs) == 1:
                self._write_at = time.monotonic() + GATHER_SECONDS
                self._changed.notify()
            if not job.optional or self._has(1):
                self.breath.hurried |= not job.optional or self._has(BEHIND_BATCHES)
                if self._write_at:
                    self._write_at = 0.0
                    self._changed.notify()
        return True

    def count_failure(self, error: Exception) -> None:
        """Count a fault, and warn unless that was done a moment ago; from any thread."""
        with self._changed:
            self._failures += 1
            self._last_error = type(error).__name__
            now = time.monotonic()
            warn = now - self._warned_at >= WARN_SECONDS
            if warn:
                self._warned_at = now
        if warn:
            # SQLite's messages name what is wrong with the file, never what is in it.
            detail = str(error) if isinstance(error, (sqlite3.OperationalError, OSError)) else ""
            log.warning("history: %s %s", type(error).__name__, detail)

    def close(self, flush_seconds: float) -> None:
        """Write what is queued, at most for that long, and end the thread. Blocking."""
        with self._changed:
            self._give_up_at = time.monotonic() + flush_seconds
            self._retry_at = self._write_at = 0.0
            self.breath.hurried = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(flush_seconds + 2.0)

    def _work(self) -> None:
        while (batch := self._wait()) is not None:
            try:
                self._attempt(batch)
            except Exception as error:  # noqa: BLE001 - no fault may end the thread; it is counted
                self._fail(error)
        self._end()

    def _wait(self) -> list[Job] | None:
        """Return when there is something to do, the oldest jobs; None when it is time to end."""
        with self._changed:
            while True:
                now = time.monotonic()
                closing = self._give_up_at is not None
                if closing and (not self._jobs or now >= (self._give_up_at or 0)):
                    return None
                due = self._retry_at if self._store is None else self._upkeep_at
                if self._jobs:
                    due = min(due, self._write_at)
                until = max(due, self._retry_at)
                if now >= until:
                    return self._oldest() if now >= self._write_at else []
                if closing:
                    until = min(until, self._give_up_at or until)
                self._changed.wait(until - now)

    def _has(self, many: float) -> bool:
        """Whether so many batches are queued, or half of what may be: it must not wait."""
        jobs, size = min(many * batches.JOBS, self._max_jobs // 2), many * batches.BYTES
        return len(self._jobs) >= jobs or self._bytes > min(size, self._max_bytes // 2)

    def _oldest(self) -> list[Job]:
        some: list[Job] = []
        size = 0
        for job in islice(self._jobs, batches.JOBS):
            size += job.size
            if some and size > batches.BYTES:
                break
            some.append(job)
        return some

    def _attempt(self, batch: list[Job]) -> None:
        path = self._path = self._path or default_path()
        if self._store is not None and identity(path) != self._identity:
            self._disconnect()  # somebody has moved the file away, and nobody reads that one
        if self._store is None:
            self._store = open_store(path, self.breath)
            self._identity = identity(path)
            self._tell_what_is_unknown(self._store)
        self._state = "open"
        if batch:
            self._write(self._store, batch)
        if self._store and time.monotonic() >= self._upkeep_at and self._give_up_at is None:
            again = self._upkeep(self._store)
            self._upkeep_at = time.monotonic() + (0.0 if again else UPKEEP_SECONDS)
        self._file_bytes = file_bytes(path)

    def _tell_what_is_unknown(self, store: Store) -> None:
        if not store.known and not self._told:
            self._told = True
            log.warning("history: llm keeps its log otherwise now, so it is written the slow way")

    def _write(self, store: Store, batch: list[Job]) -> None:
        refused, written = batches.write(store, batch, self.count_failure, self.breath)
        with self._changed:
            for job in batch:
                self._jobs.popleft()
                self._bytes -= job.size
            self._dropped += len(batch) - len(written)
            self._written += sum(job.runs for job in written)
            waited_for = self._give_up_at is not None or any(not job.optional for job in self._jobs)
            later = time.monotonic() + GATHER_SECONDS
            self._write_at = 0.0 if waited_for or self._has(1) else later
            self.breath.hurried = waited_for or self._has(BEHIND_BATCHES)
        for job in batch:  # those that were dropped are over as well
            job.done()
        if refused:  # tables are gone, perhaps; they are made when it is opened
            self._state = "failing"
            self._disconnect()

    def _fail(self, error: Exception) -> None:
        self.count_failure(error)
        self._state = "failing"
        self._disconnect()
        with self._changed:
            pause = self._retry_seconds
            if self._give_up_at is not None:
                # Another program's transaction ends soon; what else may be wrong stays wrong.
                pause = LAST_RETRY_SECONDS
                self._give_up_at = self._give_up_at if is_busy(error) else 0.0
            self._retry_at = time.monotonic() + pause

    def _disconnect(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            try:
                store.db.conn.close()
            except sqlite3.Error as error:
                self.count_failure(error)

    def _end(self) -> None:
        self._disconnect()
        with self._changed:
            self._dropped += len(self._jobs)
            self._jobs.clear()
            self._bytes = 0
            self._state = "closed"
