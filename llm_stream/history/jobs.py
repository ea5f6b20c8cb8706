"""What else the writer is given to do: forget answers, name runs, count calls that cost nothing."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self

from llm_stream.history import ledger, sidetable
from llm_stream.history.database import Store

NAME_BYTES: Final = 1000
"""What a name of a run keeps in memory, about."""


class Forgetting:
    """Answers that are to be found no more.

    Args:
        forget: does it; how many there were.
        tell: told how many, once they are gone for good.
    """

    optional, runs, name = False, 0, None
    size = 0

    def __init__(
        self, forget: Callable[[sqlite3.Connection], int], tell: Callable[[int], object]
    ) -> None:
        self._forget = forget
        self._tell = tell
        self._count = 0

    def prepare(self) -> None:
        """See `Job`."""

    def write(self, store: Store, others: Sequence[Self]) -> None:
        """See `Job`."""
        self._count = self._forget(store.db.conn)

    def done(self) -> None:
        """See `Job`."""
        self._tell(self._count)


class Naming:
    """Another name of a recorded run: that of one which has given its answer again.

    Args:
        run: the name.
        recorded: the recorded run's.
    """

    optional, runs, name = True, 0, None
    size = NAME_BYTES

    def __init__(self, run: str, recorded: str) -> None:
        self._run = run
        self._recorded = recorded

    def prepare(self) -> None:
        """See `Job`."""

    def write(self, store: Store, others: Sequence[Self]) -> None:
        """See `Job`."""
        sidetable.rename(store.db.conn, self._run, self._recorded)

    def done(self) -> None:
        """See `Job`."""


class Counting:
    """Calls that cost nothing, into the account; also a mark that says what is written so far.

    Args:
        reused: how many there were.
        tell: told once they, and all that was queued before, are written.
    """

    optional, runs, name = False, 0, None
    size = 0

    def __init__(
        self, reused: Mapping[ledger.Reuse, ledger.Reused], tell: Callable[[], object]
    ) -> None:
        self._reused = reused
        self._tell = tell

    def prepare(self) -> None:
        """See `Job`."""

    def write(self, store: Store, others: Sequence[Self]) -> None:
        """See `Job`."""
        ledger.add(store.db.conn, self._reused)

    def done(self) -> None:
        """See `Job`."""
        self._tell()
