"""Our runs leave, what others wrote stays and stays whole."""

import time
from pathlib import Path
from typing import Any

import llm
import pytest
from llm.logs import LogStore
from sqlite_utils import Database

from llm_stream.history.database import open_store, transaction, used_bytes
from llm_stream.history.retention import delete, give_back, over_size, too_old
from llm_stream.models.chunks import Attachment, Message

from .conftest import MARKS, MakeHistory, ended, rows, settled
from .llmlogs import llm_rows


def opened(path: Path) -> LogStore:
    """The database as llm opens it."""
    return LogStore(Database(path))  # type: ignore[no-untyped-call]


class Sync(llm.Model):
    """A model that says hello."""

    model_id = "scripted-sync"

    def execute(self, *_: Any, **__: Any) -> Any:
        yield "Hello"


def log_as_llm(path: Path, prompt: str) -> None:
    """What the user's own `llm` does with a prompt."""
    response = Sync().prompt(prompt)
    response.text()
    with Database(path) as database:
        response.log_to_db(database)  # type: ignore[no-untyped-call]


async def test_old_runs_leave_and_the_users_own_stay(make_history: MakeHistory, path: Path) -> None:
    """Rows, messages, search and threads of ours go; a message both have stays."""
    history = make_history()
    for prompt in ("shared", "ours alone"):
        history.record(*await ended(prompt), MARKS)
    await settled(history)
    log_as_llm(path, "shared")
    log_as_llm(path, "theirs alone")
    store = opened(path)
    with transaction(store.db.conn):
        runs = too_old(store.db.conn, time.time() + 1)
        delete(store.db.conn, runs)

    assert len(runs) == 2
    assert [row["prompt"] for row in await llm_rows(path.parent)] == ["shared", "theirs alone"]
    assert [row["response"] for row in await llm_rows(path.parent)] == ["Hello", "Hello"]
    assert store.verify() == []
    for table, count in {
        "llm_stream_runs": 0, "llm_stream_names": 0, "turns": 2, "threads": 2, "turn_search": 2,
        "messages": 4, "parts": 4,
    }.items():  # fmt: skip
        assert rows(path, f"SELECT count(*) FROM {table}") == [(count,)], table
    store.db.close()


async def test_later_messages_keep_what_they_answer(make_history: MakeHistory, path: Path) -> None:
    """A conversation that goes on keeps its beginning, though the first run has left."""
    history = make_history()
    first, second = await ended("one"), await ended("one")
    history.record(*first, MARKS)
    await settled(history)
    turns = (Message("user", "one"), Message("assistant", "Hello"), Message("user", "more"))
    longer = await ended("x")
    history.record(type(second[0])(recipe="generate", model="m", messages=turns), longer[1], MARKS)
    await settled(history)
    store = opened(path)
    with transaction(store.db.conn):
        delete(store.db.conn, [first[1].id])

    assert rows(path, "SELECT count(*) FROM messages") == [(4,)]
    assert store.verify() == []
    with transaction(store.db.conn):
        delete(store.db.conn, [longer[1].id])
    for table in ("messages", "parts", "turns", "threads", "turn_search"):
        assert rows(path, f"SELECT count(*) FROM {table}") == [(0,)], table
    store.db.close()


async def test_attachments_leave_with_the_last_who_has_them(
    make_history: MakeHistory, path: Path
) -> None:
    """Bytes that two runs were given stay until both are gone."""
    history = make_history()
    runs = []
    for prompt in ("a", "b"):
        spec, run = await ended(prompt)
        message = Message("user", prompt, (Attachment("text/plain", b"bytes"),))
        history.record(type(spec)(recipe="generate", model="m", messages=(message,)), run, None)
        runs.append(run.id)
    await settled(history)
    store = opened(path)
    counts = []
    for run_id in runs:
        with transaction(store.db.conn):
            delete(store.db.conn, [run_id])
        counts.append(rows(path, "SELECT count(*) FROM attachments"))
    store.db.close()

    assert counts == [[(1,)], [(0,)]]


async def test_runs_beyond_their_days_leave_by_themselves(
    make_history: MakeHistory, path: Path
) -> None:
    """A service that starts deletes what has become too old, and only that."""
    first = make_history()
    old, new = await ended("old"), await ended("new")
    first.record(*old, MARKS)
    first.record(*new, MARKS)
    await first.close()
    with Database(path) as database:
        database.execute(
            "UPDATE llm_stream_runs SET ended_at = ended_at - 2 * 86400 WHERE run = ?", [old[1].id]
        )
        database.conn.commit()
    await settled(make_history(days=1))

    assert [row["prompt"] for row in await llm_rows(path.parent)] == ["new"]


@pytest.mark.slow
async def test_the_oldest_leave_when_the_file_is_too_large(
    make_history: MakeHistory, path: Path
) -> None:
    """The database comes back under its bound, the newest stay, and the file shrinks."""
    first = make_history()
    bulk = tuple(
        "".join(f"{n:x}-{n * n:x} " for n in range(m, m + 100)) for m in range(0, 4000, 100)
    )
    for number in range(30):
        first.record(*await ended(f"q {number:02}", *bulk), MARKS)
    await first.close()
    log_as_llm(path, "theirs")
    bound = size(path) // 2
    second = make_history(max_bytes=bound)
    while used(path) > bound or not second.facts().bytes:
        await settled(second)
    await second.close()
    prompts = [row["prompt"] for row in await llm_rows(path.parent)]

    assert prompts[-1] == "theirs"
    assert prompts[:-1] == [f"q {number:02}" for number in range(31 - len(prompts), 30)]
    assert 5 < len(prompts) < 25
    assert size(path) <= bound


def size(path: Path) -> int:
    """Bytes of the file."""
    return path.stat().st_size


def used(path: Path) -> int:
    """Bytes of the pages in use."""
    with Database(path) as database:
        return used_bytes(database.conn)


def test_nothing_of_ours_is_nothing_to_delete(path: Path) -> None:
    """A file that is too large because of others is left alone."""
    store = open_store(path)

    assert over_size(store.db.conn, 1) == []
    give_back(store.db.conn)
    store.db.close()


async def test_answers_that_are_too_old_leave_their_rows(
    make_history: MakeHistory, path: Path
) -> None:
    """An entry that can be given no more makes room; the log keeps the run."""
    first = make_history(fresh_seconds=0.001)
    first.record(*await ended(), MARKS)
    await first.close()
    await settled(make_history())

    assert rows(path, "SELECT count(*), count(entry) FROM llm_stream_runs") == [(1, 0)]


async def test_others_data_makes_none_of_ours_go(make_history: MakeHistory, path: Path) -> None:
    """A file that is over the bound by what somebody else wrote keeps our runs."""
    first = make_history()
    for number in range(5):
        first.record(*await ended(f"q {number}", "short"), MARKS)
    await first.close()
    log_as_llm(path, "theirs " * 200_000)
    second = make_history(max_bytes=300_000)
    await settled(second)
    await second.close()

    assert size(path) > 300_000
    assert len(await llm_rows(path.parent)) == 6
