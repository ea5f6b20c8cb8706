"""A thread that reads, so that the loop never waits for the disk."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from llm_stream.cache.stored import Stored
from llm_stream.engine.recording import InvalidRecording
from llm_stream.errors import HistoryUnavailable
from llm_stream.history import sidetable
from llm_stream.history.database import default_path, identity, open_reader

T = TypeVar("T")

FIND_SECONDS: Final = 1.0
"""A look-up that takes longer is given up: computing the answer is what would follow anyway."""


REST_SECONDS: Final = 5.0
"""After a fault nothing is looked up for so long, or every request would wait for the next."""


class Reader:
    """Owns the thread and its connection.

    Args:
        path: the database; None: llm's own.
        count_failure: told of each fault.
    """

    def __init__(self, path: Path | None, count_failure: Callable[[Exception], None]) -> None:
        self._path = path
        self._count_failure = count_failure
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history-reader")
        self._connection: sqlite3.Connection | None = None
        self._running: object = None
        self._closed = False
        self._identity = 0
        self._rests_until = 0.0

    async def find(self, key: str) -> Stored | None:
        """The newest answer of this fingerprint; None also after any fault."""
        loop = asyncio.get_running_loop()
        if self._closed or loop.time() < self._rests_until:
            return None
        try:
            return await self.ask(lambda connection: sidetable.find(connection, key), FIND_SECONDS)
        except InvalidRecording as error:
            self._count_failure(error)
        except (sqlite3.Error, OSError) as error:  # TimeoutError is an OSError
            self._count_failure(error)
            self._rests_until = loop.time() + REST_SECONDS
        return None

    async def told(self, question: Callable[[sqlite3.Connection], T], seconds: float) -> T | None:
        """As `ask`, for whoever is to be told that there is no answer.

        Raises:
            HistoryUnavailable: the database does not answer.
        """
        try:
            return await self.ask(question, seconds)
        except (sqlite3.Error, OSError) as error:  # TimeoutError is an OSError
            self._count_failure(error)
            raise HistoryUnavailable(
                "The database of the history does not answer. Try again in a moment.",
                retry_after_ms=5000,
            ) from error

    async def ask(self, question: Callable[[sqlite3.Connection], T], seconds: float) -> T | None:
        """What a function that only reads makes of the database; None while there is none.

        Cancelling gives the answer up, as does its time.

        Args:
            question: called in the thread.
            seconds: how long it may take, waiting for its turn included.

        Raises:
            TimeoutError, sqlite3.Error, OSError: the database's doing.
        """
        loop = asyncio.get_running_loop()
        answer = loop.run_in_executor(self._thread, self._ask, question)
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except (TimeoutError, asyncio.CancelledError):
            # Whoever asks next would wait for the end of what nobody wants to know any more.
            if self._running is question and self._connection is not None:
                self._connection.interrupt()
            raise

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T | None:
        try:
            # Its own connection: what was written earlier is found also while writing fails.
            path = self._path or default_path()
            if self._connection is not None and identity(path) != self._identity:
                self._disconnect()
            if self._connection is None:
                self._identity = identity(path)
                self._connection = open_reader(path)
            self._running = question
            return None if self._connection is None else question(self._connection)
        except sqlite3.Error:
            self._disconnect()
            raise
        finally:
            self._running = None

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def close(self) -> None:
        """Let go of the database and end the thread. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)
