"""The adapter: every `llm` model as one iterator of chunks that closes upstream when left."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import llm
import pytest

from llm_stream.errors import (
    ContextTooLong,
    InvalidOption,
    InvalidOutput,
    MissingKey,
    UnsupportedByModel,
    UpstreamFailed,
)
from llm_stream.lateimports import later
from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.chunks import Attachment, Calling, Finish, Message, ModelCall, Reasoning
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.models.toolset import Tool, ToolCall, Toolset
from llm_stream.testing import Fault, Script, ScriptedModel, ScriptedSyncModel, words

BOTH = pytest.mark.parametrize("kind", [ScriptedModel, ScriptedSyncModel])


@pytest.fixture
async def threads() -> AsyncGenerator[SyncThreads]:
    """Two threads; one that outlives its test would keep the test run from ending."""
    pool = SyncThreads(2)
    yield pool
    pool.close()


def ask(prompt: Any = "hi", **kwargs: Any) -> Any:
    """A call with one user turn."""
    return ModelCall((Message("user", prompt),), **kwargs)


@asynccontextmanager
async def streaming(adapter: ModelAdapter, call: ModelCall | None = None) -> AsyncIterator[Any]:
    """The chunks of an answer, closed on leaving."""
    async with (
        adapter.turn() as turn,
        aclosing(adapter.stream(call or ask(), turn)) as batches,
        aclosing(one_by_one(batches)) as chunks,
    ):
        yield chunks


async def one_by_one(batches: AsyncIterator[Sequence[Any]]) -> AsyncGenerator[Any]:
    """Chunks that have come together, each by itself."""
    async for chunks in batches:
        for chunk in chunks:
            yield chunk


async def collect(adapter: Any, call: Any = None) -> Any:
    """All chunks of an answer, mere signs of life left out."""
    async with streaming(adapter, call) as chunks:
        return [chunk async for chunk in chunks if not isinstance(chunk, Calling)]


@BOTH
async def test_an_answer_is_its_chunks_and_then_a_finish(kind: Any, threads: SyncThreads) -> None:
    """Text comes as plain strings in order; the last chunk says how it ended."""
    model = kind("m", Script(chunks=words(50), usage=(7, 50), finish_reason="length"))

    *text, finish = await collect(ModelAdapter(model, threads))

    assert tuple(text) == words(50)
    assert finish == Finish("length", "m-v1", 7, 50)


@BOTH
async def test_reasoning_and_tool_calls_are_told_apart(kind: Any, threads: SyncThreads) -> None:
    """Reasoning pieces and whole tool calls are chunks of their own."""
    script = Script(
        chunks=("a",), reasoning=("hm", ""), tool_calls=(("t1", "search", '{"q":"shop"}'),)
    )

    chunks = await collect(ModelAdapter(kind("m", script), threads))

    assert chunks[:3] == [Reasoning("hm"), "a", ToolCall("t1", "search", {"q": "shop"})]


@BOTH
async def test_empty_chunks_are_skipped(kind: Any, threads: SyncThreads) -> None:
    """An empty piece of text is not a chunk."""
    chunks = await collect(ModelAdapter(kind("m", Script(chunks=("", "a", ""))), threads))

    assert [c for c in chunks if isinstance(c, str)] == ["a"]


@BOTH
async def test_tool_arguments_that_are_no_json_are_invalid_output(
    kind: Any, threads: SyncThreads
) -> None:
    """A model that calls a tool with broken arguments has failed."""
    script = Script(tool_calls=(("t1", "search", "{broken"),))

    with pytest.raises(InvalidOutput):
        await collect(ModelAdapter(kind("m", script), threads))


@BOTH
@pytest.mark.parametrize("at", [0, 2, 4])
async def test_a_failure_is_ours_whatever_the_plugin_raised(
    kind: Any, at: Any, threads: SyncThreads
) -> None:
    """At any chunk, a foreign exception becomes `upstream_failed` and keeps its cause."""
    model = kind("m", Script(fault=Fault(at=at, error=ConnectionError("reset"))))

    if kind is ScriptedSyncModel and at == 4:
        at = 3
        model.scripts = [Script(fault=Fault(at=at, error=ConnectionError("reset")))]
    with pytest.raises(UpstreamFailed, match="ConnectionError: reset") as caught:
        await collect(ModelAdapter(model, threads))

    assert isinstance(caught.value.__cause__, ConnectionError)
    assert model.calls[0].said == at
    assert model.calls[0].closed.is_set()


async def test_a_missing_key_is_missing_key(threads: SyncThreads) -> None:
    """A model without its key fails before anything is sent, and says whose key."""

    class Keyed(ScriptedModel, llm.AsyncKeyModel):
        needs_key = "shop"

        async def execute(self, *args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
            raise llm.NeedsKeyException("No key found")
            yield

    with pytest.raises(MissingKey, match="provider of m"):
        await collect(ModelAdapter(Keyed("m"), threads))


async def test_leaving_closes_an_async_upstream_before_it_returns(threads: SyncThreads) -> None:
    """After the closing of the iterator the model's own clean-up has run."""
    model = ScriptedModel("m", Script(chunks=words(9)))
    async with streaming(ModelAdapter(model, threads)) as chunks:
        await anext(chunks)

    assert model.calls[0].closed.is_set()
    assert model.calls[0].said < 9


async def test_cancelling_the_reader_closes_the_upstream(threads: SyncThreads) -> None:
    """A cancellation while waiting for a chunk reaches the model."""
    model = ScriptedModel("m", Script(fault=Fault(at=1, stall=True)))
    first = asyncio.Event()

    async def read() -> None:
        async with streaming(ModelAdapter(model, threads)) as chunks:
            async for _ in chunks:
                first.set()

    task = asyncio.create_task(read())
    await first.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert model.calls[0].closed.is_set()


class Leaky(llm.AsyncModel):
    """Lets go of its connection only if a cancellation lands inside its own wait.

    As the stock OpenAI classes do: they iterate a stream without closing it.
    """

    model_id = "leaky"
    can_stream = True

    def __init__(self) -> None:
        self.connected = False
        self.never = asyncio.Event()

    async def _stream(self) -> AsyncGenerator[Any]:
        self.connected = True
        try:
            yield "a"
            yield "b"
            await self.never.wait()
        except asyncio.CancelledError:
            self.connected = False
            raise

    async def execute(
        self, prompt: Any, stream: Any, response: Any, conversation: Any = None
    ) -> AsyncGenerator[Any]:
        """Iterate without closing."""
        self.stream = self._stream()
        while True:
            yield await anext(self.stream)


async def test_a_plugin_that_leaks_on_aclose_is_closed_all_the_same(threads: SyncThreads) -> None:
    """Leaving from elsewhere cancels inside the plugin's own wait, so the connection goes."""
    model = Leaky()
    async with streaming(ModelAdapter(model, threads)) as chunks:
        assert await anext(chunks) == "a"
        assert model.connected

    assert not model.connected


async def test_a_cancellation_of_the_plugins_own_is_its_failure(threads: SyncThreads) -> None:
    """A plugin that lets a CancelledError out, though nobody cancelled, has failed."""

    class Confused(ScriptedModel):
        async def execute(self, *args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
            task = asyncio.ensure_future(asyncio.Event().wait())
            task.cancel()
            await task
            yield "never"

    with pytest.raises(UpstreamFailed, match="cancelled inside the plugin"):
        await collect(ModelAdapter(Confused("m"), threads))


async def test_what_a_plugin_left_for_later_is_imported_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: SyncThreads
) -> None:
    """The first call of a plugin's model brings its package, and the event loop goes on."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "late_sdk.py").write_text("import threading\nWHERE = threading.current_thread()\n")
    (tmp_path / "late_plugin.py").write_text("import late_sdk\n")
    with later("late_sdk"):
        plugin = import_module("late_plugin")

    class PluginsModel(ScriptedModel):
        async def execute(self, *args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
            assert plugin.late_sdk.WHERE is not threading.main_thread()
            async with aclosing(super().execute(*args, **kwargs)) as chunks:
                async for chunk in chunks:
                    yield chunk

    *_, finish = await collect(ModelAdapter(PluginsModel("m", Script(chunks=words(1))), threads))

    assert isinstance(finish, Finish)


async def test_a_failure_of_ours_passes_as_it_is(threads: SyncThreads) -> None:
    """What is already one of our errors is not wrapped into itself."""
    own = ContextTooLong("too long")
    model = ScriptedModel("m", Script(fault=Fault(error=own)))

    with pytest.raises(ContextTooLong) as caught:
        await collect(ModelAdapter(model, threads))

    assert caught.value.__cause__ is None


async def test_leaving_an_endless_burst_returns(threads: SyncThreads) -> None:
    """A model that never waits cannot hold up the one who leaves."""

    class Endless(llm.AsyncModel):
        model_id = "endless"
        can_stream = True

        async def execute(
            self, prompt: Any, stream: Any, response: Any, conversation: Any = None
        ) -> AsyncGenerator[Any]:
            while True:
                yield "x"

    async with streaming(ModelAdapter(Endless(), threads)) as chunks:
        await anext(chunks)


async def test_leaving_a_sync_model_does_not_wait_for_its_thread(threads: SyncThreads) -> None:
    """The iterator closes at once; the thread stops at the model's next chunk."""
    model = ScriptedSyncModel("m", Script(chunks=words(9), fault=Fault(at=2, stall=True)))
    async with streaming(ModelAdapter(model, threads)) as chunks:
        await anext(chunks)
        await anext(chunks)
    assert not model.calls[0].closed.is_set()

    model.release.set()
    await asyncio.to_thread(model.calls[0].closed.wait, 10)

    assert model.calls[0].said == 3


async def test_sync_models_share_a_bounded_pool(threads: SyncThreads) -> None:
    """Two threads serve five sync calls; those that left before their turn never run."""
    model = ScriptedSyncModel("m", Script(fault=Fault(at=0, stall=True)))
    adapter = ModelAdapter(model, threads)
    tasks = [asyncio.create_task(collect(adapter)) for _ in range(5)]
    while len(model.calls) < 2:
        await asyncio.sleep(0)

    tasks[4].cancel()
    await asyncio.gather(tasks[4], return_exceptions=True)
    model.release.set()
    await asyncio.gather(*tasks[:4])

    assert len(model.calls) == 4


async def test_a_slow_reader_holds_a_sync_model_back(threads: SyncThreads) -> None:
    """A thread is at most a buffer ahead of its reader."""
    model = ScriptedSyncModel("m", Script(chunks=words(2000)))
    async with streaming(ModelAdapter(model, threads)) as chunks:
        await anext(chunks)
        full = threading.Event()
        await asyncio.to_thread(full.wait, 0.3)
        assert model.calls[0].said < 300


@pytest.mark.parametrize(
    ("options", "field"),
    [({"temperature": 3}, "options.temperature"), ({"nonsense": 1}, "options.nonsense"),
     ({"max_tokens": "many"}, "options.max_tokens")],
)  # fmt: skip
async def test_options_a_model_refuses_name_their_field(
    options: Any, field: Any, threads: SyncThreads
) -> None:
    """Unknown or bad options are the caller's, before anything is sent."""
    model = ScriptedModel("m")

    with pytest.raises(InvalidOption) as caught:
        ModelAdapter(model, threads).check(ask(options=options))

    assert caught.value.field == field
    assert model.calls == []


async def test_what_a_model_cannot_do_is_refused(threads: SyncThreads) -> None:
    """Attachments go only to models that take them, in a conversation too."""
    adapter = ModelAdapter(ScriptedModel("m"), threads)
    movie = Message("user", "look", (Attachment("video/mp4", b"x"),))

    with pytest.raises(UnsupportedByModel, match="video/mp4"):
        adapter.check(ModelCall((movie,)))
    with pytest.raises(UnsupportedByModel, match="video/mp4"):
        adapter.check(ModelCall((movie, Message("assistant", "ok"), Message("user", "and?"))))


async def test_conversation_system_and_attachments_reach_the_model(threads: SyncThreads) -> None:
    """The model sees every turn, the system prompt, the bytes and the options."""
    model = ScriptedModel("m")
    picture = Attachment("image/png", b"png")
    call = ModelCall(
        (
            Message("system", "Be brief."),
            Message("user", "What is this?", (picture,)),
            Message("assistant", "A shop."),
            Message("user", "And now?"),
        ),
        {"temperature": 0.5},
    )
    await collect(ModelAdapter(model, threads), call)

    seen = model.calls[0]
    assert [m.role for m in seen.messages] == ["system", "user", "assistant", "user"]
    assert seen.messages[1].parts[1].attachment.content == b"png"
    assert seen.system == "Be brief."
    assert seen.options == {"temperature": 0.5}


TOOLS = Toolset((Tool("search", "", {"type": "object"}),))
TALK = (
    Message("user", "Find it."),
    Message("assistant", "", (), (ToolCall("t1", "search", {}),)),
    Message("tool", "Found.", tool_call_id="t1"),
)


@BOTH
async def test_tools_reach_the_model_and_nobody_runs_them(kind: Any, threads: SyncThreads) -> None:
    """It gets declarations, and what it calls is a chunk like any other."""
    model = kind("m", Script(chunks=(), tool_calls=(("t1", "search", "{}"),)))

    called, _ = await collect(ModelAdapter(model, threads), ask(tools=TOOLS))

    assert called == ToolCall("t1", "search", {})
    assert [(tool.name, tool.implementation) for tool in model.calls[0].tools] == [("search", None)]


@BOTH
async def test_no_call_is_told_where_another_is_broken(kind: Any, threads: SyncThreads) -> None:
    """Somebody might have acted on it."""
    script = Script(chunks=("a",), tool_calls=(("t1", "search", "{}"), ("t2", "search", "{")))
    told = []
    with pytest.raises(InvalidOutput):
        async with streaming(ModelAdapter(kind("m", script), threads)) as chunks:
            async for chunk in chunks:
                told.append(chunk)

    assert [chunk for chunk in told if not isinstance(chunk, Calling)] == ["a"]


@BOTH
async def test_a_call_that_comes_is_no_silence(kind: Any, threads: SyncThreads) -> None:
    """Its pieces reach whoever watches the clock; the call itself comes when it is whole."""
    model = kind("m", Script(chunks=(), tool_calls=(("t1", "search", "{}"),)))

    async with streaming(ModelAdapter(model, threads), ask(tools=TOOLS)) as chunks:
        said = [chunk async for chunk in chunks]

    assert said[:3] == [Calling("search"), Calling("{}"), ToolCall("t1", "search", {})]


class WithoutTools(ScriptedModel):
    """A model that knows none."""

    supports_tools = False


class Plugins(ScriptedModel):
    """A model of a plugin: llm has no word for how tools may be called."""

    takes_toolset = False


@pytest.mark.parametrize(
    ("kind", "call", "field"),
    [
        (WithoutTools, ask(tools=TOOLS), "tools"),
        (WithoutTools, ModelCall(TALK), "messages"),
        (Plugins, ask(tools=replace(TOOLS, choice="required")), "tool_choice"),
        (Plugins, ask(tools=replace(TOOLS, choice="required", named="search")), "tool_choice"),
        (Plugins, ask(tools=replace(TOOLS, parallel=False)), "parallel_tool_calls"),
    ],
)
async def test_what_a_model_cannot_do_with_tools_is_named(
    kind: Any, call: ModelCall, field: str, threads: SyncThreads
) -> None:
    """Before a run exists."""
    with pytest.raises(UnsupportedByModel) as caught:
        ModelAdapter(kind("m"), threads).check(call)

    assert caught.value.field == field


async def test_a_plugin_that_may_call_nothing_is_told_of_nothing(threads: SyncThreads) -> None:
    """That is the only way to say it there."""
    model = Plugins("m")

    await collect(ModelAdapter(model, threads), ask(tools=replace(TOOLS, choice="none")))

    assert model.calls[0].tools == []


async def test_a_call_stays_a_call_where_a_schema_is_asked_for(threads: SyncThreads) -> None:
    """Only without tools of the caller's it is how the model keeps to the schema."""
    model = ScriptedModel("m", Script(chunks=(), tool_calls=(("t1", "search", "{}"),)))

    called, _ = await collect(ModelAdapter(model, threads), ask(tools=TOOLS, schema={}))

    assert isinstance(called, ToolCall)
