"""Pieces history tests are made of: runs that have ended, databases."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from ulid import ULID

from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Outcome, RunInfo
from llm_stream.history.history import History
from llm_stream.models.chunks import Message
from llm_stream.payloads import Payload
from llm_stream.recipes.spec import RunSpec

from ..problem import only_its_code

MARKS = {"/all:": 0, "/recipe:generate": 0, "/model:m": 0}


async def source(texts: tuple[str, ...], end: str) -> AsyncGenerator[Payload | Outcome]:
    """Says these texts, then completes, fails, or waits for its cancel."""
    for text in texts:
        yield {"type": "text.delta", "text": text}
    if end == "failed":
        raise ValueError("broken")
    if end == "cancelled":
        await asyncio.get_running_loop().create_future()
    yield Outcome("stop")


async def ended(
    prompt: str = "Plan a shop", *texts: str, end: str = "completed", **spec: Any
) -> tuple[RunSpec, Run]:
    """A spec and its run, which has ended that way."""
    asked = RunSpec(recipe="generate", model="m", messages=(Message("user", prompt),), **spec)
    run = Run(
        RunInfo(
            id=f"run_{ULID()}", recipe="generate", model="m", key=asked.fingerprint(),
            title=asked.title,
        ),
        max_log_bytes=1 << 24,
        describe_error=only_its_code,
    )  # fmt: skip
    finished = asyncio.get_running_loop().create_future()
    run.on_finished(finished.set_result)
    run.start(source(texts or ("Hello",), end))
    if end == "cancelled":
        while len(run.log) < 1 + len(texts or ("Hello",)):
            await asyncio.sleep(0)
        run.cancel("requested")
    await finished
    return asked, run


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What the database answers."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


MakeHistory = Callable[..., History]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database that is not there yet, in a folder that is an LLM_USER_PATH."""
    return tmp_path / "logs.db"


@pytest.fixture
async def make_history(path: Path) -> AsyncIterator[MakeHistory]:
    """Makes started histories of that database: `make_history(days=1)`."""
    async with AsyncExitStack() as stack:

        def make(where: Path = path, **options: Any) -> History:
            defaults = {"days": 30, "max_bytes": 1 << 30, "fresh_seconds": 3600.0}
            history = History(where, **defaults | options)
            history.start()
            stack.push_async_callback(history.close)
            return history

        yield make


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds the database locked gives up soon, as after the second that it has otherwise."""
    monkeypatch.setattr("llm_stream.history.database.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("llm_stream.history.history.SETTLE_SECONDS", 0.05)


@pytest.fixture
async def history(make_history: MakeHistory) -> History:
    """A history with wide bounds."""
    return make_history()


async def settled(history: History) -> None:
    """Return when all that was recorded so far is in the database."""
    await history.forget()
    while (facts := history.facts()).queued or facts.state == "failing":
        await asyncio.sleep(0)
