"""Conversations out of llm's tables, as they were recorded."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm_stream.errors import HistoryUnavailable
from llm_stream.history import sidetable
from llm_stream.history.history import History
from llm_stream.models.chunks import Attachment, Message
from llm_stream.models.toolset import ToolCall

from .conftest import MakeHistory, ended, rows, settled

pytestmark = pytest.mark.slow

SIGNED = [
    {"text": "Hm.", "provider_metadata": {"anthropic": {"signature": "x"}}},
    {"text": "", "provider_metadata": {"anthropic": {"data": "y"}}},
]
KEPT = {"gemini": {"thoughtSignature": "x"}, "thoughts": SIGNED}
CALL = ToolCall("c1", "now", {"zone": "UTC"}, KEPT)
TURNS = (
    Message("system", "Be short.\n\nSpeak Latin."),
    Message("user", "Look.", (Attachment("image/png", b"\x89PNG"),)),
    Message("assistant", "", (), (CALL, ToolCall("c2", "now", {}))),
    Message("tool", "Noon.", tool_call_id="c1"),
    Message("tool", "One.", tool_call_id="c2"),
)


async def recorded(history: History, *texts: str, end: str = "completed", **spec: Any) -> str:
    """The id of a run that was recorded."""
    asked, run = await ended("", *texts, end=end)
    for name, value in spec.items():
        object.__setattr__(asked, name, value)
    history.record(asked, run, None)
    await settled(history)
    return run.id


def forget(path: Path, run: str) -> None:
    """What retention does to a run."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM llm_stream_runs WHERE run = ?", [run])


def ruin(path: Path) -> None:
    """Make the file no database."""
    path.write_bytes(b"no database" * 1000)
    for name in ("-wal", "-shm"):
        path.with_name(f"{path.name}{name}").unlink(missing_ok=True)


async def test_a_conversation_is_read_as_it_was(history: History) -> None:
    """Every turn, what providers keep with calls, and the answer as its last."""
    run = await recorded(history, "Salve", "!", messages=TURNS, instructions=9)
    found = await history.conversations.find(run, "")

    assert found is not None
    assert found.messages == (*TURNS, Message("assistant", "Salve!"))
    assert found.instructions == 9


async def test_what_has_just_ended_is_found(
    make_history: MakeHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to wait until runs are written anyway, nor until their further names are."""
    monkeypatch.setattr("llm_stream.history.writer.GATHER_SECONDS", 3600.0)
    history = make_history()
    await settled(history)
    asked, run = await ended("")
    history.record(asked, run, None)
    found = await history.conversations.find(run.id, "")
    history.conversations.said_again("run_again", run.id)

    assert found is not None
    assert await history.conversations.find("run_again", "") == found


async def test_only_completed_runs_of_the_owner_are_found(history: History) -> None:
    """Others have no answer to go on from, or are none of the asker's business."""
    ours = await recorded(history)
    failed = await recorded(history, end="failed")

    assert await history.conversations.find(ours, "") is not None
    assert await history.conversations.find(ours, "ann") is None
    assert await history.conversations.find(failed, "") is None
    assert await history.conversations.find("run_x", "") is None


async def test_an_answer_that_is_given_again_is_found_by_its_own_name(
    history: History, path: Path
) -> None:
    """As long as the run is there that has made it, and no other one."""
    run = await recorded(history, "Salve")
    history.conversations.said_again("run_again", run)
    history.conversations.said_again("run_other", "run_nowhere")
    await settled(history)

    assert await history.conversations.find("run_again", "") == (
        await history.conversations.find(run, "")
    )
    assert await history.conversations.find("run_again", "ann") is None
    assert rows(path, "SELECT run FROM llm_stream_replays") == [("run_again",)]
    assert history.facts().written == 1
    forget(path, run)
    assert rows(path, "SELECT * FROM llm_stream_replays") == []


async def test_names_of_one_answer_are_bounded(
    history: History, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go, and the others count as a part of the run."""
    monkeypatch.setattr(sidetable, "MAX_REPLAYS", 2)
    run, other = await recorded(history), await recorded(history)
    before = rows(path, "SELECT size FROM llm_stream_runs ORDER BY run")
    for name in ("run_1", "run_2", "run_3", "run_3"):
        history.conversations.said_again(name, run)
    history.conversations.said_again("run_0", other)
    await settled(history)

    names = rows(path, "SELECT run, recorded FROM llm_stream_replays ORDER BY run")
    assert names == [("run_0", other), ("run_2", run), ("run_3", run)]
    after = rows(path, "SELECT size FROM llm_stream_runs ORDER BY run")
    grown = [now - then for (now,), (then,) in zip(after, before, strict=True)]
    assert sorted(grown) == [sidetable.REPLAY_BYTES, 2 * sidetable.REPLAY_BYTES]


async def test_where_nothing_was_written_nothing_is_found(make_history: MakeHistory) -> None:
    """A database that is not there yet is no fault."""
    assert await make_history().conversations.find("run_x", "") is None


async def test_a_database_that_cannot_be_read_is_told(history: History, path: Path) -> None:
    """Nobody takes that for a run that is not there."""
    run = await recorded(history)
    ruin(path)

    with pytest.raises(HistoryUnavailable):
        await history.conversations.find(run, "")
