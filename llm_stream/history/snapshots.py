"""What the database has of a run that has ended: a line of a list, and all of it."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import llm
import orjson
from llm.parts import ReasoningPart, TextPart, ToolCallPart, ToolResultPart

from llm_stream.engine.recording import InvalidRecording, Recording
from llm_stream.history import conversations, packing

LINES: Final = """
    SELECT runs.run, runs.recipe, runs.model, runs.status, runs.fingerprint, runs.error_code,
    runs.partial, runs.created_at, runs.ended_at, runs.total_ms, threads.name, turns.input_tokens,
    turns.output_tokens, account.first_token_ms
    FROM llm_stream_runs AS runs
    LEFT JOIN turns ON turns.id = runs.response_id
    LEFT JOIN threads ON runs.parent IS NULL AND threads.id = lower(substr(runs.run, 5))
    LEFT JOIN llm_stream_account AS account
    ON account.ended_at = runs.ended_at AND account.run = runs.run
"""
"""Selects what `line_of` reads; the thread of an inner run is not named after it."""


class Line(NamedTuple):
    """A run in a list. Times in milliseconds, moments in seconds since 1970.

    `title` is "" and the figures are None where they were not recorded, as the title of an inner
    run, and tokens of a batch.
    """

    run: str
    recipe: str
    model: str
    state: str
    key: str
    error_code: str | None
    partial: bool
    created_at: float
    ended_at: float
    total_ms: int
    title: str
    input_tokens: int | None
    output_tokens: int | None
    first_token_ms: int | None


class Asked(NamedTuple):
    """One message of what was asked, its text only."""

    role: str
    content: str


@dataclass(slots=True)
class Snapshot:
    """All that is recorded of a run.

    Attributes:
        line: as in a list.
        answered_by: the model, as its provider calls it; None: nothing is known but its name.
        kept: whether the answer is here as it was said; else it is what llm's tables have of it.
        messages: what was asked.
        runs: those that its recipe has asked for, first to last, if they were recorded.
    """

    line: Line
    answered_by: str | None = None
    template: str | None = None
    kept: bool = False
    messages: list[Asked] = field(default_factory=list)
    runs: list[Line] = field(default_factory=list)
    text: str = ""
    reasoning: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str | None = None
    result: Any = None
    text_sha256: str | None = None


class _Turn(NamedTuple):
    """A row of llm's `turns`; it names a model where that is another than was asked."""

    id: str
    tip: str
    resolved_model: str | None
    schema_id: str | None


def line_of(row: Sequence[Any]) -> Line:
    """A row of `LINES`, the name of its thread taken apart (`turns.thread_name`)."""
    line = Line(*row)
    name = (line.title or "").removeprefix(f"[{line.state}] ")
    title = name if line.recipe == "generate" else name.removeprefix(f"{line.recipe}: ")
    return line._replace(title=title, partial=bool(line.partial))


def find(connection: sqlite3.Connection, run: str, owner: str) -> Snapshot | None:
    """What is there of that run; None: nothing, or it is another owner's."""
    row = connection.execute(
        f"{LINES} WHERE runs.run = ? AND runs.owner = ?", [run, owner]
    ).fetchone()
    if row is None:
        return None
    line = line_of(row)
    found = Snapshot(line)
    more = connection.execute(
        "SELECT entry, turns.id, tip_message_hash, resolved_model, schema_id FROM llm_stream_runs"
        " LEFT JOIN turns ON turns.id = response_id WHERE run = ?",
        [run],
    ).fetchone()
    if more is None:  # it has left in between
        return None
    entry, *columns = more
    inner = f"{LINES} WHERE runs.parent = ? AND runs.owner = ? ORDER BY runs.run"
    found.runs = [line_of(each) for each in connection.execute(inner, [run, owner])]
    if columns[0] is not None:
        _read_turn(connection, found, _Turn(*columns))
    if entry is not None:
        _read_entry(found, entry)
    return found


def _read_turn(connection: sqlite3.Connection, found: Snapshot, turn: _Turn) -> None:
    """What llm's tables have."""
    chain, facts = conversations.load(connection, turn.tip, turn.id)
    found.answered_by = turn.resolved_model
    found.template, found.finish_reason = facts.get("template"), facts.get("finish_reason")
    line = found.line
    if line.input_tokens is not None or line.output_tokens is not None:
        counts = {"input_tokens": line.input_tokens, "output_tokens": line.output_tokens}
        found.usage = [{"model": found.answered_by or line.model, **counts}]
    if not chain:
        return
    found.messages = [Asked(message.role, _text(message)) for message in chain[:-1]]
    answer = chain[-1]
    found.reasoning = "".join(p.text for p in answer.parts if isinstance(p, ReasoningPart))
    found.tool_calls = [
        {"tool_call_id": part.tool_call_id, "name": part.name, "arguments": part.arguments}
        for part in answer.parts
        if isinstance(part, ToolCallPart)
    ]
    _read_answer(found, _text(answer), structured=turn.schema_id is not None)


def _read_answer(found: Snapshot, text: str, *, structured: bool) -> None:
    """A text, or what `turns.answered` has made one of."""
    recipe, completed = found.line.recipe, found.line.state == "completed"
    found.text = text
    made = recipe in {"evaluate", "breakdown"}
    if not made and not (structured and completed):
        return
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:  # what there was of it
        return
    if completed:
        found.result = value
    elif isinstance(value, dict):
        found.items = [{"path": path, "value": item} for path, item in value.items()]
    if made:
        found.text = ""


def _read_entry(found: Snapshot, entry: bytes) -> None:
    """What the cache would give again: events and all."""
    try:
        recording: Recording = packing.unpack(entry).recording
    except InvalidRecording:
        return
    fold = recording.fold
    found.kept = True
    found.template = recording.template
    found.text, found.reasoning = "".join(fold.text), "".join(fold.reasoning)
    found.items, found.usage, found.tool_calls = fold.items, fold.usage, fold.calls
    found.finish_reason = recording.ending.get("finish_reason")
    found.result = recording.ending.get("result")
    found.text_sha256 = recording.ending.get("text_sha256")


def _text(message: llm.parts.Message) -> str:
    """What is said in it, what a tool has answered included."""
    said = (
        part.output if isinstance(part, ToolResultPart) else part.text
        for part in message.parts
        if isinstance(part, (TextPart, ToolResultPart))
    )  # fmt: skip
    return "".join(said)
