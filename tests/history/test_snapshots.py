"""One run out of the database: as the cache keeps it, or as llm's tables have it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm_stream.history.history import History
from llm_stream.history.snapshots import Asked, Snapshot
from llm_stream.models.chunks import Attachment, Message
from llm_stream.models.toolset import ToolCall

from .conftest import MARKS, MakeHistory, ended

pytestmark = pytest.mark.slow


async def looked_up(
    history: History, *texts: str, end: str = "completed", marks: Any = None, **spec: Any
) -> Snapshot:
    """What is found of a run that was recorded."""
    asked, run = await ended("Plan a shop", *texts, end=end)
    for name, value in spec.items():
        object.__setattr__(asked, name, value)
    history.record(asked, run, marks)
    found = await history.past.run(run.id, "")
    assert found is not None
    return found


@pytest.mark.parametrize("marks", [MARKS, None], ids=["kept", "logged"])
async def test_an_answer_is_found_with_what_was_asked(history: History, marks: Any) -> None:
    """Both are there, whether the answer could be given again or not."""
    found = await looked_up(history, "Hel", "lo", marks=marks)

    assert (found.text, found.finish_reason, found.kept) == ("Hello", "stop", marks is not None)
    assert found.messages == [Asked("user", "Plan a shop")]
    assert (found.text_sha256 is not None) == found.kept


async def test_what_tools_have_answered_was_asked_as_well(history: History) -> None:
    """A tool's turn has its result."""
    turns = (
        Message("user", "What time is it?"),
        Message("assistant", "Let me look.", (), (ToolCall("c1", "now", {}),)),
        Message("tool", "Noon.", tool_call_id="c1"),
    )
    found = await looked_up(history, "It is noon.", messages=turns)

    assert [(asked.role, asked.content) for asked in found.messages] == [
        ("user", "What time is it?"), ("assistant", "Let me look."), ("tool", "Noon."),
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_what_a_run_had_when_it_ended_is_found(history: History, end: str) -> None:
    """The text that had come, and why there is no more."""
    found = await looked_up(history, "Hel", "lo", end=end)

    assert (found.text, found.line.state, found.line.partial) == ("Hello", end, True)
    assert found.line.error_code == {"failed": "internal_error", "cancelled": "requested"}[end]


async def test_messages_are_told_by_their_text(history: History) -> None:
    """System prompt and earlier turns, without the bytes of attachments."""
    turns = (
        Message("system", "Be short."),
        Message("user", "Look.", (Attachment("image/png", b"\x89PNG"),)),
    )
    found = await looked_up(history, messages=turns)

    assert found.messages == [Asked("system", "Be short."), Asked("user", "Look.")]


@pytest.mark.parametrize(
    ("said", "result"), [('{"a": 1}', {"a": 1}), ('{"a"', None)], ids=["whole", "broken"]
)
async def test_structured_answers_have_a_result(history: History, said: str, result: Any) -> None:
    """What was asked for by a schema is there decoded, if it can be."""
    found = await looked_up(history, said, schema={"type": "object"})

    assert (found.text, found.result) == (said, result)


async def test_nobody_finds_what_is_not_theirs(history: History) -> None:
    """Another owner's run is as one that never was."""
    found = await looked_up(history)

    assert await history.past.run(found.line.run, "ann") is None
    assert await history.past.run("run_x", "") is None


@pytest.mark.parametrize(
    "fault",
    ["UPDATE llm_stream_runs SET entry = x'00'", "DELETE FROM messages"],
    ids=["entry", "messages"],
)
async def test_what_is_left_is_told(make_history: MakeHistory, path: Path, fault: str) -> None:
    """An entry that is broken, or messages that somebody has deleted, take nothing else away."""
    history = make_history()
    run = (await looked_up(history, marks=MARKS)).line.run
    await history.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(fault)
        connection.commit()
    found = await make_history().past.run(run, "")

    assert found is not None
    assert (found.text, found.kept) == ("Hello", "messages" in fault)
