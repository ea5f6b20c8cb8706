"""The database file: private, in WAL mode, with llm's tables and ours."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import llm
from llm.logs import LogStore
from sqlite_utils import Database

from llm_stream.history import bulk, ledger, logbook, sidetable
from llm_stream.history.breath import Breath, BreathingConnection

BUSY_SECONDS: Final = 1.0
"""How long a statement waits for another process; then the batch is tried again later."""

BUSY_READ_SECONDS: Final = 0.2
"""How long a look-up waits where somebody has locked the whole file."""

WAL_BYTES: Final = 16 << 20
"""What is left of the -wal file after a checkpoint."""


def default_path() -> Path:
    """`logs.db` in llm's user folder (`LLM_USER_PATH`), which is made if it is missing."""
    folder: Path = llm.user_dir()  # type: ignore[no-untyped-call]
    return folder / "logs.db"


class LogDatabase(Database):
    """sqlite-utils' database, which can remember the names of its tables within a transaction.

    sqlite-utils asks the database for them before each statement, which was a quarter of what a
    run's row costs. Nobody else can change them while a transaction writes.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._names: tuple[list[str], list[str]] | None = None

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Remember the names in this block, which is inside a transaction."""
        self._names = super().table_names(), super().view_names()
        try:
            yield
        finally:
            self._names = None

    def table_names(self, fts4: bool = False, fts5: bool = False) -> list[str]:  # noqa: FBT001, FBT002
        """See `Database`."""
        if self._names is None or fts4 or fts5:
            return super().table_names(fts4, fts5)
        return self._names[0]

    def view_names(self) -> list[str]:
        """See `Database`."""
        return super().view_names() if self._names is None else self._names[1]


class Store(LogStore):
    """llm's store, which can tell whether its tables are written to in bulk (`logbook`).

    Args:
        db: the database; it is migrated as needed.
    """

    def __init__(self, db: LogDatabase) -> None:
        super().__init__(db)  # type: ignore[no-untyped-call]
        self._schema = -1
        self._known = False

    @property
    def known(self) -> bool:
        """Whether llm's tables are as `logbook` knows them, also if another process migrated."""
        (schema,) = self.db.conn.execute("PRAGMA schema_version").fetchone()
        if schema != self._schema:
            self._schema, self._known = schema, logbook.is_known(self.db.conn)
        return self._known


def open_store(path: Path, breath: Breath | None = None) -> Store:
    """Open the database, make and migrate it as needed. Blocking; a new one takes 0.3 s.

    Args:
        path: its file.
        breath: taken after each statement once it is open; None: there are no pauses.

    Raises:
        OSError, sqlite3.Error: it cannot be used.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        # A file that SQLite makes can be read by everybody; its -wal and -shm are as private as
        # the file itself. One that is there already is its owner's business.
        new = False
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            new = True
        connection = sqlite3.connect(
            path,
            timeout=BUSY_SECONDS,
            cached_statements=bulk.STATEMENTS,
            factory=BreathingConnection,
        )
        try:
            if new:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
            store = Store(LogDatabase(connection))
            with transaction(connection):
                sidetable.create(connection)
                ledger.create(connection)
        except BaseException:
            connection.close()
            raise
    if breath is not None:  # not while others wait to open it
        connection.breath = breath
    return store


def open_reader(path: Path) -> sqlite3.Connection | None:
    """A connection that only reads, for use by one thread; None while there is nothing to read.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    if not path.exists():
        return None
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", timeout=BUSY_READ_SECONDS, uri=True
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        if sidetable.exists(connection):
            return connection
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, with the write lock from the beginning.

    A transaction that reads first and writes later fails at once when another process wrote in
    between, whatever the time-out; llm's own is one. Inside this one it is a savepoint.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # the fault that led here is the one to tell
            connection.rollback()
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other replicas out: two migrations of one new file break each other.

    The lock is on the folder. Closing a second handle of the file itself would give up the locks
    SQLite holds on it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_busy(error: Exception) -> bool:
    """Whether another connection was writing, which will have ended soon."""
    return _code(error) == sqlite3.SQLITE_BUSY


def is_ours(error: Exception) -> bool:
    """Whether what was to be written is at fault, not a file that is locked, full or broken."""
    file_at_fault = isinstance(error, sqlite3.OperationalError) or (
        type(error) is sqlite3.DatabaseError
    )
    return not file_at_fault or _code(error) == sqlite3.SQLITE_ERROR


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def identity(path: Path) -> int:
    """Tells a file from one that has taken its place; 0 while there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the pages in use; pages that are free will be used again."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {what}").fetchone()[0])
        for what in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def file_bytes(path: Path) -> int:
    """Bytes on the disk, the -wal file included; 0 where there is none."""
    total = 0
    for name in (path, path.with_name(f"{path.name}-wal")):
        with suppress(OSError):
            total += name.stat().st_size
    return total
