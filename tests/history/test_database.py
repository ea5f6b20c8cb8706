"""The file: private, shared with other processes, made by whoever comes first."""

import asyncio
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest

from llm_stream.history.database import open_reader, open_store

from .conftest import MARKS, MakeHistory, ended, rows, settled
from .llmlogs import llm_rows

PROCESSES, RUNS = 4, 60

WRITER = """
import asyncio, sys
from pathlib import Path
from llm_stream.history.history import History
from tests.history.conftest import MARKS, ended

async def main(path, name, count):
    history = History(Path(path), days=1, max_bytes=1 << 30, fresh_seconds=60)
    runs = [await ended(f"{name} {n}") for n in range(int(count))]
    history.start()
    for spec, run in runs:
        history.record(spec, run, MARKS)
        await history.forget()
    await history.close()
    facts = history.facts()
    assert (facts.written, facts.dropped) == (int(count), 0), facts

asyncio.run(main(*sys.argv[1:]))
"""


def mode(path: Path) -> int:
    """Who may do what with the file."""
    return stat.S_IMODE(path.stat().st_mode)


def made_by_llm(path: Path) -> None:
    """A database that others may read."""
    open_store(path).db.conn.close()
    path.chmod(0o640)


async def test_the_file_is_private(make_history: MakeHistory, path: Path) -> None:
    """Nobody else can read the database, its -wal or its -shm."""
    history = make_history()
    history.record(*await ended(), MARKS)
    await settled(history)
    modes = {file.name: mode(file) for file in path.parent.iterdir()}

    assert modes == dict.fromkeys(("logs.db", "logs.db-wal", "logs.db-shm"), 0o600)


async def test_a_file_that_is_there_keeps_its_mode(make_history: MakeHistory, path: Path) -> None:
    """Who may read a database that llm has made is its owner's business."""
    made_by_llm(path)
    await settled(make_history())

    assert mode(path) == 0o640


async def test_without_a_path_it_is_llms_own(make_history: MakeHistory, tmp_path: Path) -> None:
    """LLM_USER_PATH says where."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_USER_PATH", str(tmp_path / "deep" / "user"))
        history = make_history(None)
        history.record(*await ended(), MARKS)
        await settled(history)

    assert [row["prompt"] for row in await llm_rows(tmp_path / "deep" / "user")] == ["Plan a shop"]


@pytest.mark.slow
async def test_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    """Four replicas begin with no file and write one by one: every run is there, once."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(path), f"replica {n}", str(RUNS),
            cwd=Path(__file__).parents[2], stderr=asyncio.subprocess.PIPE,
        )
        for n in range(PROCESSES)
    ]  # fmt: skip
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()

    assert rows(path, "SELECT count(*) FROM turns") == [(PROCESSES * RUNS,)]
    assert rows(path, "SELECT count(DISTINCT prompt) FROM turn_search") == [(PROCESSES * RUNS,)]
    assert rows(path, "SELECT count(*) FROM llm_stream_runs WHERE entry IS NOT NULL") == [
        (PROCESSES * RUNS,)
    ]


def test_a_reader_cannot_write(path: Path) -> None:
    """What looks answers up changes nothing; without tables there is nothing to read."""
    assert open_reader(path) is None
    path.touch()
    assert open_reader(path) is None
    open_store(path).db.conn.close()
    reader = open_reader(path)

    assert reader is not None
    with closing(reader), pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM llm_stream_runs")
