"""Fault 17: whatever is wrong with the database, streams go on and nobody is flooded."""

import asyncio
import logging
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import aiohttp
import pytest

from llm_stream.history.history import History

from ..conftest import StartService
from .conftest import MARKS, MakeHistory, ended, rows, settled


def under_a_file(path: Path) -> Path:
    """A folder that cannot be made."""
    path.write_text("no folder")
    return path / "deeper" / "logs.db"


def corrupt(path: Path) -> Path:
    """A file that is no database."""
    path.write_bytes(b"\x00\xffno database" * 1000)
    return path


def read_only(path: Path) -> Path:
    """A database that SQLite opens for reading only: written in a format of its future."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE t (x)")
        other.commit()
    data = bytearray(path.read_bytes())
    data[18] = 3  # the write version, https://www.sqlite.org/fileformat.html, 1.3.3
    path.write_bytes(data)
    return path


def a_folder(path: Path) -> Path:
    """A folder where the file should be."""
    path.mkdir()
    return path


@pytest.mark.parametrize("damage", [under_a_file, corrupt, a_folder, read_only])
async def test_streams_go_on_without_a_database(
    start_service: StartService,
    http: aiohttp.ClientSession,
    path: Path,
    damage: Callable[[Path], Path],
) -> None:
    """The service starts and answers; /health and /metrics tell of the fault."""
    service = await start_service(history={"enabled": True, "path": str(damage(path))})
    for prompt in ("one", "two"):
        async with http.post(f"{service.url}/v1/generate", json={"prompt": prompt}) as response:
            assert (await response.json())["text"] == "Hello, world."
    history = service.parts.history
    assert history is not None
    while history.facts().state == "starting":
        await asyncio.sleep(0)
    async with http.get(f"{service.url}/health") as response:
        told = (await response.json())["history"]
    async with http.get(f"{service.url}/metrics") as response:
        figures = await response.text()

    assert (told["state"], told["queued"], told["written"]) == ("failing", 2, 0)
    assert told["failures"] >= 1
    assert told["last_error"]
    assert str(path) not in str(told)
    assert "llm_stream_history_queued 2.0" in figures
    assert "llm_stream_history_written_total 0.0" in figures


async def test_a_fault_is_warned_of_once_a_minute(
    make_history: MakeHistory, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every fault is counted, one is told."""
    corrupt(path)
    with caplog.at_level(logging.WARNING, "llm_stream.history"):
        history = make_history(retry_seconds=0.0)
        while history.facts().failures < 20:
            await asyncio.sleep(0)

    assert [record.getMessage() for record in caplog.records] == ["history: DatabaseError "]


@pytest.mark.usefixtures("hasty")
async def test_a_lock_held_elsewhere_delays_only_the_writer(
    make_history: MakeHistory, path: Path
) -> None:
    """While another program writes runs wait in the queue; then all are written."""
    history = make_history(retry_seconds=0.0)
    earlier = await ended("earlier")
    history.record(*earlier, MARKS)
    await settled(history)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        history.record(*await ended("meanwhile"), MARKS)
        while not history.facts().failures:
            await asyncio.sleep(0)

        assert await history.find(earlier[1].info.key) is not None
        assert (history.facts().queued, history.facts().dropped) == (1, 0)
        other.execute("ROLLBACK")
    await settled(history)

    assert (history.facts().state, history.facts().written) == ("open", 2)
    assert history.facts().last_error == "OperationalError"


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """No file of this process grows beyond what the largest of these are now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(file.stat().st_size for file in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_loses_nothing_while_the_queue_has_room(
    make_history: MakeHistory, path: Path
) -> None:
    """What cannot be written is tried again until it can; nothing is found half."""
    history = make_history(retry_seconds=0.0)
    await settled(history)
    large = [await ended(f"q {n}", *(f"{n}{m} " * 50 for m in range(200))) for n in range(8)]
    with full_disk(path):
        for spec, run in large:
            history.record(spec, run, MARKS)
        # A fault is counted before its state is told, and forgotten while it is tried again.
        while history.facts().state != "failing":
            await asyncio.sleep(0)

        assert history.facts().written < 8
    await settled(history)

    assert history.facts().dropped == 0
    assert rows(path, "SELECT count(*) FROM turns") == [(8,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_file_that_was_moved_away_is_made_anew(
    make_history: MakeHistory, path: Path
) -> None:
    """Runs go where llm looks for them, and are looked for there."""
    history = make_history()
    first, second = await ended("first"), await ended("second")
    history.record(*first, MARKS)
    await settled(history)
    assert await history.find(first[1].info.key) is not None
    for file in sorted(path.parent.glob("logs.db*")):
        file.rename(file.with_name(f"old-{file.name}"))
    history.record(*second, MARKS)
    await settled(history)

    assert rows(path, "SELECT count(*) FROM turns") == [(1,)]
    assert await history.find(second[1].info.key) is not None
    assert await history.find(first[1].info.key) is None


async def test_tables_that_were_dropped_are_made_anew(
    make_history: MakeHistory, path: Path
) -> None:
    """What somebody else does to our tables costs a run or two, counted."""
    history = make_history(retry_seconds=0.0)
    await settled(history)
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE llm_stream_runs")
    history.record(*await ended("lost"), MARKS)
    while not history.facts().dropped:
        await asyncio.sleep(0)
    history.record(*await ended("kept"), MARKS)
    while not history.facts().written:
        await asyncio.sleep(0)

    assert (history.facts().dropped, history.facts().failures) == (1, 1)
    assert rows(path, "SELECT prompt FROM turn_search") == [("kept",)]


@pytest.mark.usefixtures("hasty")
async def test_nothing_is_found_until_forgetting_is_done(
    make_history: MakeHistory, path: Path
) -> None:
    """An answer that was invalidated while nothing can be written is not given meanwhile."""
    history = make_history(retry_seconds=0.0)
    spec, run = await ended()
    history.record(spec, run, MARKS)
    await settled(history)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        history.record(*await ended("meanwhile"), MARKS)
        while history.facts().state != "failing":
            await asyncio.sleep(0)

        assert await history.forget([run.info.key]) == 0
        assert await history.find(run.info.key) is None
        other.execute("ROLLBACK")
    await settled(history)

    assert await history.find(run.info.key) is None
    assert rows(path, "SELECT count(entry) FROM llm_stream_runs") == [(1,)]


async def test_a_history_that_never_opened_ends(path: Path) -> None:
    """Closing does not wait for a database that cannot be opened, and counts what is lost."""
    history = History(corrupt(path), days=1, max_bytes=1 << 20, fresh_seconds=1, retry_seconds=3600)
    history.start()
    history.record(*await ended(), MARKS)
    await history.close()

    facts = history.facts()
    assert (facts.state, facts.written, facts.dropped) == ("closed", 0, 1)
