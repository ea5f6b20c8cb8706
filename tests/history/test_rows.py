"""The rows written in bulk are llm's own: held against what its `LogStore.log` writes."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from llm.parts import Message as LlmMessage
from ulid import ULID

from llm_stream.engine.fold import Fold
from llm_stream.engine.recording import Recording
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Outcome, RunInfo
from llm_stream.events import apart, kind_of, parts_of, t_ms_of
from llm_stream.history import logbook, turns
from llm_stream.history.database import Store, open_store
from llm_stream.history.reading import Reading
from llm_stream.history.responses import response_of
from llm_stream.history.turns import Finished
from llm_stream.history.writing import Writing
from llm_stream.models.chunks import Attachment, Message
from llm_stream.models.toolset import Tool, ToolCall, Toolset
from llm_stream.recipes.spec import RunSpec, TemplateRef

from ..problem import only_its_code
from .conftest import MARKS, MakeHistory, ended, rows, settled
from .llmlogs import llm_rows

FRAGMENT = "A whole novel, of which llm keeps one copy."
WHEN = {"threads": "datetime_utc", "_llm_migrations": "applied_at"}
"""Columns that tell when they were written."""


def text(*pieces: str) -> tuple[dict[str, Any], ...]:
    """An answer in these pieces."""
    return tuple({"type": "text.delta", "text": piece} for piece in pieces)


def usage(model: str = "m", tokens: int | None = 3) -> dict[str, Any]:
    """What a call of a model has spent."""
    counts = {"input_tokens": tokens, "output_tokens": tokens}
    return {"type": "usage", "model": model, **counts, "details": {}, "estimated": False}


@dataclass(frozen=True)
class Case:
    """One run: what it was asked and what it says; without a result it completes with none."""

    said: Sequence[dict[str, Any]] = text("Hello")
    messages: tuple[Message, ...] = (Message("user", "Hi"),)
    end: str = "completed"
    result: Any = None
    parent: str | None = None
    spec: dict[str, Any] = field(default_factory=dict)


PNG = Attachment("image/png", b"\x89PNG")
SIGNED = {"thoughts": [{"text": "Hm.", "provider_metadata": {"a": {"signature": "x" * 80}}}]}
CALLS = (
    ToolCall("c1", "now", {"zone": "UTC", "a": None}, SIGNED | {"gemini": {"sign": "y"}}),
    ToolCall("c2", "now", {}),
)
TOOLED = (
    Message("user", "Time?"),
    Message("assistant", "", (), CALLS),
    Message("tool", "Noon.", tool_call_id="c1"),
    Message("tool", "One.", tool_call_id="c2"),
)
TOOLS = Toolset((Tool("now", "Tells the time. " * 9, {"type": "object"}), Tool("bare")))
SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "string"}}}
TALK = (Message("user", "One"), Message("assistant", "Two"), Message("user", "Three"))
FURTHER = (*TALK, Message("assistant", "Four"), Message("user", "Five"))
CALLED = {"type": "tool.called", "tool_call_id": "c9", "name": "now", "arguments": {"z": [1]}}

CASES = {
    "plain": Case(),
    "again": Case(),
    "the same said otherwise": Case(text("Hel", "lo, ", "again")),
    "usage": Case((*text("a"), usage())),
    "another model answered": Case((*text("a"), usage("m-v1", None))),
    "reasoning": Case(({"type": "reasoning.delta", "text": "I think"}, *text("So."))),
    "nothing was said": Case(()),
    "nothing was asked": Case(messages=()),
    "empty texts": Case(text(""), (Message("user", ""),)),
    "odd characters": Case(
        text("\u2028\u00e9 \U0001f600 \x00\x1f", '"quoted\\"\n'), (Message("user", "\x00\\\t/"),)
    ),
    "system": Case(messages=(Message("system", "Be brief."), Message("user", "Hi"))),
    "options": Case(spec={"options": {"temperature": 0.5, "seed": None, "stop": ["\u00e9"]}}),
    "schema": Case(text('{"a":"x"}'), spec={"schema": SCHEMA}, result={"a": "x"}),
    "an empty schema": Case(spec={"schema": {}}),
    "template": Case(spec={"template": TemplateRef("t", "f" * 64), "instructions": 3}),
    "attachments": Case(messages=(Message("user", "Look", (PNG, Attachment("text/plain", b"x"))),)),
    "the same attachment twice": Case(messages=(Message("user", "", (PNG, PNG)),)),
    "an empty attachment": Case(messages=(Message("user", "", (Attachment("text/plain", b""),)),)),
    "tools": Case((*text("Let me see."), CALLED), TOOLED, spec={"tools": TOOLS}),
    "tools declared in vain": Case(spec={"tools": TOOLS}),
    "a call with metadata": Case(
        ({**CALLED, "provider_metadata": {"g": {"s": "t" * 80}}}, usage()), TOOLED
    ),
    "arguments that are no object": Case(({**CALLED, "arguments": "no object"},)),
    "a conversation": Case(text("Four"), TALK),
    "going on from it": Case(text("Six"), FURTHER),
    "ends with an answer": Case(text("!"), TALK[:2]),
    "failed": Case(text("half"), end="failed"),
    "failed at once": Case((), end="failed"),
    "cancelled": Case(text("half"), end="cancelled"),
    "a recipe": Case(
        ({"type": "item.completed", "path": "a/0", "value": 1},),
        (),
        spec={"recipe": "evaluate", "input": {"task": "Judge"}},
        result={"a": [1]},
    ),
    "half a recipe": Case(
        ({"type": "item.completed", "path": "a/0", "value": 1},),
        (),
        "failed",
        spec={"recipe": "evaluate", "input": {"task": "Judge"}},
    ),
    "an inner run": Case(text("a part"), parent="run_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    "steps": Case(
        (
            {"type": "step.started", "step": "s", "title": "S"},
            {"type": "text.delta", "text": "aside", "step": "s"},
            *text("then"),
        ),
    ),
    "a restart": Case(
        (
            *text("gone"),
            {"type": "run.restarted", "reason": "splice_failed"},
            *text("kept", " too"),
            usage(),
        )
    ),
    "says its own fingerprint": Case(text(RunSpec(recipe="generate", model="m").fingerprint())),
    "a fragment of llm's": Case(messages=(Message("user", f"Sum up: {FRAGMENT}"),)),
}  # fmt: skip


async def finished(case: Case) -> Finished:
    """The run of a case, which has ended."""
    given: dict[str, Any] = {"recipe": "generate"} | case.spec
    spec = RunSpec(model="m", messages=case.messages, parent=case.parent, **given)
    known = RunSpec(recipe="generate", model="m").fingerprint()
    info = RunInfo(
        id=f"run_{ULID()}", recipe=spec.recipe, model="m", key=known, title=spec.title,
        parent=case.parent, created_at=1.5,
        template=None if spec.template is None else str(spec.template),
    )  # fmt: skip
    run = Run(info, max_log_bytes=1 << 20, describe_error=only_its_code)
    over = asyncio.get_running_loop().create_future()
    run.on_finished(over.set_result)

    async def source() -> AsyncGenerator[Any]:
        for payload in case.said:
            yield payload
        if case.end == "failed":
            raise ValueError("broken")
        if case.end == "cancelled":
            run.cancel("requested")
            await asyncio.get_running_loop().create_future()
        yield Outcome("stop", case.result)

    run.start(source())
    await over
    return Finished(spec, run, None, 2.5)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    """Two new databases, in which llm has a message that borrows from a fragment."""
    folder = tmp_path_factory.mktemp("rows")
    both = open_store(folder / "llm.db"), open_store(folder / "ours.db")
    asked = turns.asked(
        RunSpec(recipe="", model="", messages=CASES["a fragment of llm's"].messages)
    )
    for store in both:
        store.ensure_chain(map(LlmMessage.from_dict, asked), fragments=[FRAGMENT])
    yield both
    for store in both:
        store.db.conn.close()


@contextmanager
def undone(store: Store) -> Iterator[sqlite3.Connection]:
    """Leave no trace of what is written."""
    connection: sqlite3.Connection = store.db.conn
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.rollback()


def dump(connection: sqlite3.Connection) -> dict[str, list[dict[str, Any]]]:
    """All of a database but ours, table by table, and what search finds."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        " AND name NOT LIKE 'llm_stream%' AND name NOT LIKE '%_fts_%'"
    ).fetchall()
    told = {name: _dicts(connection.execute(f'SELECT * FROM "{name}"')) for (name,) in tables}
    for name, column in WHEN.items():
        for row in told[name]:
            assert row.pop(column)
    found = connection.execute(
        "SELECT rowid, * FROM turn_search_fts"
        " WHERE turn_search_fts MATCH 'hello OR six OR novel OR sum'"
    )
    return told | {"found": _dicts(found)}


def _dicts(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column for column, *_ in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def by_llm(store: Store, jobs: Sequence[Writing]) -> None:
    """Write these runs as llm does."""
    for job in jobs:
        assert job.prepared is not None
        logged = job.prepared.logged
        assert logged is not None
        store.ensure_thread(logged.thread, logged.name)
        store.log(response_of(logged), logged.thread)


def by_us(store: Store, jobs: Sequence[Writing]) -> None:
    """Write these runs as the service does."""
    assert store.known
    jobs[0].write(store, jobs[1:])


@pytest.mark.parametrize("names", [*([name] for name in CASES), list(CASES)], ids=lambda n: n[0])
async def test_our_rows_are_llms(stores: tuple[Store, Store], names: list[str]) -> None:
    """Each kind of run alone, and all of them at once: table by table the same."""
    jobs = [Writing(await finished(CASES[name]), 60, 0) for name in names]
    for job in jobs:
        job.prepare()
    dumps = []
    for store, write in zip(stores, (by_llm, by_us), strict=True):
        with undone(store) as connection:
            write(store, jobs)
            dumps.append(dump(connection))
            assert store.verify() == []
    expected, actual = dumps

    assert len(actual["turns"]) == len(names)
    for table, told in expected.items():
        assert actual[table] == told, table


@pytest.mark.parametrize("name", CASES)
async def test_a_log_is_read_as_it_was_written(name: str) -> None:
    """Read at once it says what its events say one by one, and what a cache would keep of it."""
    run = (await finished(CASES[name])).run
    reading, fold = Reading(run), Fold(run.events())

    assert "".join(reading.fold.text) == "".join(fold.text)
    assert "".join(reading.fold.reasoning) == "".join(fold.reasoning)
    assert (len(reading.fold.items), reading.fold.calls) == (len(fold.items), fold.calls)
    if run.state == "completed":
        expected = Recording.of(run)
        assert replace(reading.recording(), created_at=expected.created_at) == expected


async def test_events_are_taken_apart_at_once() -> None:
    """What is said of each is its own, also where a tool is called with one."""
    fake = {"id": "1-1", "run": "run_1", "t_ms": 5, "type": "text.delta"}
    plain = (await finished(CASES["steps"])).run.events()
    odd = (await finished(Case(({**CALLED, "arguments": {"a": fake}},)))).run.events()

    for events in (plain, odd, []):
        kinds, times, bodies = apart(events)
        assert kinds == tuple(kind_of(event) for event in events)
        assert times == tuple(t_ms_of(event) for event in events)
        assert bodies == tuple(parts_of(event)[1] for event in events)


def test_a_thread_is_named_where_it_is(stores: tuple[Store, Store]) -> None:
    """A name is that of a thread that has begun; none begins by it, and its tip stays."""
    with undone(stores[0]) as connection:
        connection.execute("INSERT INTO threads VALUES ('a', 'Inner', 'b2:0', NULL, 'today')")
        logbook.name_threads(connection, [("a", "A run"), ("nowhere", "Another")])
        named = connection.execute("SELECT * FROM threads").fetchall()

    assert named == [("a", "A run", "b2:0", None, "today")]


@pytest.fixture
def newer(path: Path) -> Path:
    """A database that a later llm has migrated."""
    with closing(open_store(path).db.conn) as connection, connection:
        connection.execute("ALTER TABLE turns ADD COLUMN cost TEXT DEFAULT 'unknown'")
        connection.execute("INSERT INTO _llm_migrations VALUES ('m999_cost', 'today')")
    return path


async def test_tables_of_another_llm_are_left_to_it(
    newer: Path, make_history: MakeHistory, caplog: pytest.LogCaptureFixture
) -> None:
    """Where llm has tables that are not known here, its own code writes; that is told once."""
    history = make_history(newer)
    with caplog.at_level(logging.WARNING, "llm_stream.history"):
        for prompt in ("one", "two"):
            history.record(*await ended(prompt), MARKS)
            await settled(history)

    assert rows(newer, "SELECT prompt, cost FROM turn_search JOIN turns ON turns.id = turn_id") == [
        ("one", "unknown"), ("two", "unknown"),
    ]  # fmt: skip
    assert [row["prompt"] for row in await llm_rows(newer.parent)] == ["one", "two"]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["history"]
    assert (history.facts().written, history.facts().failures) == (2, 0)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE parts ADD COLUMN tokens INTEGER",
        "ALTER TABLE turns RENAME COLUMN model TO model_id",
        "INSERT INTO _llm_migrations VALUES ('m999_cost', 'today')",
        "DELETE FROM _llm_migrations WHERE name = 'm027_turns_response_json'",
        "DROP TRIGGER turn_search_ai",
    ],
)
def test_what_is_not_as_known_is_noticed(stores: tuple[Store, Store], change: str) -> None:
    """A column, a name, a migration or a trigger more or less: it is not written to in bulk."""
    with undone(stores[0]) as connection:
        assert logbook.is_known(connection)
        connection.execute(change)
        assert not logbook.is_known(connection)


def test_a_migration_meanwhile_is_noticed(path: Path) -> None:
    """What another process does to the tables is seen by the next transaction."""
    store = open_store(path)
    with closing(sqlite3.connect(path)) as other, other:
        assert store.known
        other.execute("ALTER TABLE turns ADD COLUMN cost TEXT")
    known = store.known
    store.db.conn.close()

    assert not known
