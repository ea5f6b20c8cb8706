import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from llm_stream.history.reader import Reader

from .conftest import MARKS, MakeHistory, ended


@pytest.fixture
def faults() -> list[Exception]:
    """What the reader has counted."""
    return []


@pytest.fixture
async def reader(path: Path, faults: list[Exception]) -> AsyncIterator[Reader]:
    """A reader of the database."""
    reader = Reader(path, faults.append)
    yield reader
    await reader.close()


async def test_nothing_is_found_where_nothing_was_written(
    reader: Reader, faults: list[Exception]
) -> None:
    """A database that is not there yet is no fault."""
    assert await reader.find("k") is None
    assert faults == []


async def test_an_earlier_process_is_read_before_anything_is_written(
    reader: Reader, make_history: MakeHistory
) -> None:
    """It needs no writer, so that the first request after a restart finds its answer."""
    spec, run = await ended()
    history = make_history()
    history.record(spec, run, MARKS)
    await history.close()

    assert await reader.find(run.info.key) is not None


async def test_a_fault_makes_it_rest(
    reader: Reader, make_history: MakeHistory, path: Path, faults: list[Exception]
) -> None:
    """Where the file is locked one request waits a moment, those after it do not."""
    await make_history().close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(50):
            assert await reader.find("k") is None

    assert [type(fault) for fault in faults] == [sqlite3.OperationalError]


async def test_a_closed_reader_finds_nothing(reader: Reader, faults: list[Exception]) -> None:
    """Closing is idempotent; afterwards there is no answer and no fault."""
    await reader.close()
    await reader.close()

    assert await reader.find("k") is None
    assert faults == []
