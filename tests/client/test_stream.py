"""A run as its reader has it, on both wires: whole, resumed, refused, left."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from llm_stream.client import (
    Answer,
    AnswerRestarted,
    AsyncClient,
    ClientClosed,
    Criterion,
    Item,
    Stream,
    Task,
    Unreachable,
)
from llm_stream.errors import (
    InvalidOption,
    RunCancelled,
    StreamError,
    UnknownModel,
    UnknownRun,
    UpstreamFailed,
)
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.faultproxy import FaultProxy
from llm_stream.testing.scripted import Call
from llm_stream.testing.service import RunningService

from ..conftest import StartService

pytestmark = pytest.mark.asyncio_loop  # the proxy needs it


async def test_text_comes_piece_by_piece(client: AsyncClient, model: ScriptedModel) -> None:
    """Every piece as the model has sent it, and the whole of them as the answer."""
    model.scripts = [Script(chunks=words(50), reasoning=("Hm.",))]
    async with client.generate("Name the parts of a web shop.") as stream:
        pieces = [piece async for piece in stream.text()]
        answer = await stream.result()

    assert pieces == list(words(50))
    assert answer.text == "".join(pieces)
    assert (answer.recipe, answer.model, answer.cache) == ("generate", "scripted", "miss")
    assert (answer.reasoning, answer.finish_reason, answer.attempts) == ("Hm.", "stop", 1)
    assert answer.usage == {"input_tokens": 3, "output_tokens": 4}
    assert answer.run == stream.run


async def test_calls_of_tools_are_answered(client: AsyncClient, model: ScriptedModel) -> None:
    """They go back as they came, with a result each."""
    called = Script(chunks=(), tool_calls=(("c1", "now", "{}"), ("c2", "now", '{"zone":"UTC"}')))
    model.scripts = [called, Script()]
    tools = [{"name": "now", "description": "Tells the time."}]
    turns: list[Any] = [{"role": "user", "content": "Time?"}]
    first = await client.generate(messages=turns, tools=tools).result()
    turns.append({"role": "assistant", "content": first.text, "tool_calls": first.tool_calls})
    turns += [
        {"role": "tool", "tool_call_id": call["tool_call_id"], "content": "Noon."}
        for call in first.tool_calls
    ]
    second = await client.generate(messages=turns, tools=tools).result()

    assert [call["arguments"] for call in first.tool_calls] == [{}, {"zone": "UTC"}]
    assert second.text == "Hello, world."
    assert len(model.calls[1].messages[-1].parts) == 2


async def test_an_answer_needs_no_block(client: AsyncClient) -> None:
    """`result` opens and closes by itself, and can be asked for again."""
    stream = client.generate("Hi")

    first = await stream.result()
    assert isinstance(first, Answer)
    assert await stream.result() == first
    assert (await client.generate("Hi").result()).cache == "hit"


async def test_streams_that_were_read_share_a_connection(
    client: AsyncClient, proxy: FaultProxy, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """Who has read all goes on with the same one, and is not taken for a reader that went away."""
    for prompt in ("Hi", "Ho"):
        await client.generate(prompt, cache={"mode": "bypass"}).result()

    assert proxy.accepted == 1
    assert 499 not in {line.get("status") for line in lines()}


async def test_events_are_those_of_the_run(client: AsyncClient) -> None:
    """All of them, from `run.started` to the terminal one, cursors without a hole."""
    async with client.generate("Hi") as stream:
        told = [event async for event in stream.events()]

    assert [event["id"] for event in told] == [f"1-{n + 1}" for n in range(len(told))]
    assert (told[0]["type"], told[-1]["type"]) == ("run.started", "run.completed")
    assert stream.cursor == told[-1]["id"]


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_lost_connections_lose_nothing(
    client: AsyncClient, proxy: FaultProxy, model: ScriptedModel, how: Any
) -> None:
    """Cut again and again, the answer is whole, and asked of the model once."""
    model.scripts = [Script(chunks=words(300))]
    pieces = []
    async with client.generate("Plan the import.") as stream:
        async for piece in stream.text():
            pieces.append(piece)
            if len(pieces) in {1, 100, 200}:
                proxy.cut(how=how)
                proxy.mend()
        answer = await stream.result()

    assert "".join(pieces) == answer.text == "".join(words(300))
    assert len(model.calls) == 1


async def test_a_service_that_is_away_is_waited_for(
    client: AsyncClient, proxy: FaultProxy, model: ScriptedModel
) -> None:
    """The start, and what it was reading, are taken up when it is back."""
    await proxy.refuse()
    starting = asyncio.create_task(client.generate("Hi").result())
    await asyncio.wait([starting], timeout=0.05)
    assert not starting.done()
    await proxy.accept()

    assert (await starting).text == "Hello, world."
    assert len(model.calls) == 1


async def test_patience_ends(proxy: FaultProxy, wire: Any) -> None:
    """Then the reader is told that nobody is there."""
    await proxy.refuse()
    url = f"http://127.0.0.1:{proxy.port}"
    async with AsyncClient(url, wire=wire, patience_seconds=0) as client:
        with pytest.raises(Unreachable, match="cannot be reached"):
            await client.generate("Hi").result()


async def test_silence_is_a_lost_connection(
    service: RunningService, proxy: FaultProxy, model: ScriptedModel, wire: Any
) -> None:
    """A connection that says nothing, heartbeats neither, is given up for a new one."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=2, stall=True))]
    url = f"http://127.0.0.1:{proxy.port}"
    async with AsyncClient(url, wire=wire, silence_seconds=0.2) as client:
        stream = client.generate("Hi")
        async with stream:
            text = stream.text()
            assert [await anext(text), await anext(text)] == list(words(3))[:2]
            proxy.stall("down")
            waiting = asyncio.create_task(anext(text, None))
            while proxy.accepted < 2:
                await asyncio.wait([waiting], timeout=0.01)
            proxy.mend()
            await client.cancel(stream.run)
            with pytest.raises(RunCancelled):
                await waiting
    assert stream.resumed >= 1
    assert len(model.calls) == 1


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"model": "nobody"}, UnknownModel, "model"),
        ({"options": {"temperature": 9}}, InvalidOption, "options.temperature"),
    ],
)
async def test_a_refusal_is_the_services_error(
    client: AsyncClient, fields: Any, error: type[StreamError], field: str
) -> None:
    """By its code, with the field at fault, before anything was read."""
    with pytest.raises(error) as caught:
        async with client.generate("Hi", **fields):
            pass

    assert caught.value.field == field
    assert caught.value.problem is not None
    assert caught.value.problem["code"] == error.code


async def test_a_failed_run_never_looks_finished(client: AsyncClient, model: ScriptedModel) -> None:
    """What came is given, then its error is raised, wherever it is read; there is no answer."""
    model.scripts = [Script(chunks=words(5), fault=Fault(at=3, error=OSError("gone")))]
    async with client.generate("Hi") as stream:
        pieces = []
        with pytest.raises(UpstreamFailed):
            async for piece in stream.text():
                pieces.append(piece)
        assert pieces == list(words(5))[:3]
        with pytest.raises(StreamError):
            await stream.result()


async def test_leaving_cancels_what_was_started(
    client: AsyncClient, model: ScriptedModel, service: RunningService
) -> None:
    """The model is let go of, and the run says why it ended."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    async with client.generate("Hi") as stream:
        async for _ in stream.text():
            break

    assert await asyncio.to_thread(model.calls[0].closed.wait, 5)
    run = service.parts.registry.find(stream.run)
    assert run.state == "cancelled"


async def test_a_cancelled_task_leaves_as_well(
    client: AsyncClient, model: ScriptedModel, service: RunningService
) -> None:
    """Cancellation is a normal way to leave a stream."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    began = asyncio.Event()

    async def read() -> None:
        async with client.generate("Hi") as stream:
            async for _ in stream.text():
                began.set()

    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(model.calls[0].closed.wait, 5)


async def test_leaving_takes_no_equal_stream_along(
    client: AsyncClient, model: ScriptedModel, service: RunningService
) -> None:
    """Two streams of one client share a run: the last one's leaving ends it."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    async with client.generate("Hi") as first:
        await anext(first.text())
        async with client.generate("Hi") as second:
            assert (second.run, second.cache) == (first.run, "joined")
        assert service.parts.registry.find(first.run).state == "running"

    assert await asyncio.to_thread(model.calls[0].closed.wait, 5)


async def test_a_cut_makes_no_stranger_of_its_reader(
    client: AsyncClient, proxy: FaultProxy, model: ScriptedModel, service: RunningService
) -> None:
    """Who was cut off and leaves later gives up its own claim, and not another client's."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    async with (
        AsyncClient(service.url) as other,
        client.generate("Hi") as ours,
        other.generate("Hi") as theirs,
    ):
        await cut(ours, proxy)
        await ours.close()
        assert service.parts.registry.find(theirs.run).state == "running"


async def cut(stream: Stream, proxy: FaultProxy) -> None:
    """Cut the connection of a stream that has begun, and wait until it reads on."""
    text = stream.text()
    await anext(text)
    proxy.cut()
    proxy.mend()
    waiting = asyncio.create_task(anext(text))
    while not stream.resumed:
        await asyncio.wait([waiting], timeout=0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_a_claim_outlives_its_connection(
    proxy: FaultProxy, model: ScriptedModel, service: RunningService
) -> None:
    """Over SSE who was cut off and leaves later still ends its run."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    async with (
        AsyncClient(f"http://127.0.0.1:{proxy.port}") as client,
        client.generate("Hi", on_disconnect="continue") as stream,
    ):
        await cut(stream, proxy)

    assert await asyncio.to_thread(model.calls[0].closed.wait, 5)


async def test_a_closed_client_starts_nothing(client: AsyncClient) -> None:
    """Neither streams nor calls; it may be closed again."""
    await client.close()
    await client.close()

    with pytest.raises(ClientClosed):
        await client.generate("Hi").result()
    with pytest.raises(ClientClosed):
        await client.models()


async def test_followers_leave_a_run_alone(
    client: AsyncClient, model: ScriptedModel, service: RunningService
) -> None:
    """It is read from any cursor, and goes on when they leave."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=2, stall=True))]
    async with client.generate("Hi") as stream:
        async for _ in stream.text():
            break
        async with client.follow(stream.run, after=stream.cursor) as other:
            assert await anext(other.text()) == words(3)[1]
        assert service.parts.registry.find(stream.run).state == "running"


async def test_what_has_ended_is_followed_to_its_end(client: AsyncClient) -> None:
    """Behind its last event there is nothing, and that is no failure."""
    stream = client.generate("Hi")
    answer = await stream.result()

    assert (await client.follow(answer.run).result()).text == answer.text
    async with client.follow(answer.run, after=stream.cursor) as behind:
        assert [told async for told in behind.events()] == []
        with pytest.raises(UnknownRun, match="from its beginning"):
            await behind.result()


async def test_a_run_can_be_left_to_itself(client: AsyncClient, model: ScriptedModel) -> None:
    """`begin` gives its id at once, and nobody has to read it; the same key is the same run."""
    model.scripts = [Script(chunks=words(5))]

    one, two = [await client.begin("generate", {"prompt": "Hi"}, idempotency_key="k") for _ in "ab"]

    assert one["id"] == two["id"]
    assert (await client.follow(one["id"]).result()).text == "".join(words(5))


async def test_a_key_names_the_run(client: AsyncClient, wire: Any, model: ScriptedModel) -> None:
    """Over SSE, equal calls by one key are one run; the socket knows no keys."""
    body = {"prompt": "Hi", "cache": {"mode": "bypass"}}
    runs = [(await client.run("generate", body, idempotency_key="mine").result()).run for _ in "ab"]

    assert len(set(runs)) == len(model.calls) == (1 if wire == "sse" else 2)


async def test_starting_has_its_own_patience() -> None:
    """Who wants to know at once is told at once, and reads on as patiently as ever."""
    async with AsyncClient("http://127.0.0.1:9", start_seconds=0) as client:
        with pytest.raises(Unreachable):
            await client.generate("Hi").result()


async def test_an_unknown_run_is_told_at_once(client: AsyncClient) -> None:
    """By the service's error."""
    with pytest.raises(UnknownRun):
        await client.follow("run_0000000000000000000000").result()


def structured(answer: dict[str, Any]) -> Script:
    """A model that answers with this object."""
    return Script(chunks=(json.dumps(answer),))


async def test_criteria_are_typed(client: AsyncClient, model: ScriptedModel) -> None:
    """Each judged criterion comes by itself, before the verdict."""

    def judge(_call: Call) -> Script:
        return structured(
            {"reason": "There is one.", "evidence": [], "rating": "met", "missing": []}
        )

    model.respond = judge
    body: dict[str, Any] = {
        "stage_data": {"domain": "orders, customers"},
        "criteria": ["There is a domain model."],
    }
    async with client.evaluate("Domain modeling", **body) as stream:
        items = [item async for item in stream.items()]
        verdict = (await stream.result()).result

    (criterion,) = items
    assert isinstance(criterion, Criterion)
    assert (criterion.title, criterion.rating) == ("There is a domain model.", "met")
    assert verdict["is_sufficient"] is True


async def test_tasks_are_typed(client: AsyncClient, model: ScriptedModel) -> None:
    """Each task of a plan with what it depends on."""
    task = {
        "id": "t1", "title": "Read the file", "description": "All rows.", "type": "task",
        "depends_on": [], "acceptance_criteria": ["rows are read"], "deliverables": ["reader"],
        "effort": {"low": 1, "likely": 2, "high": 3, "unit": "hours"}, "complexity": "low",
        "priority": "high", "risk": "low", "expand": {"recommended": False, "hint": ""},
        "covers": [],
    }  # fmt: skip
    model.scripts = [structured({"tasks": [task], "open_questions": []})]
    async with client.breakdown("Import the orders") as stream:
        items = [item async for item in stream.items()]

    (planned,) = items
    assert isinstance(planned, Task)
    assert (planned.id, planned.effort["likely"]) == ("t1", 2)


async def test_results_of_a_batch_are_items(client: AsyncClient) -> None:
    """At their paths."""
    requests = [{"recipe": "generate", "input": {"prompt": prompt}} for prompt in ("a", "b")]
    answer = await client.batch(requests).result()

    assert {item.path for item in answer.items if isinstance(item, Item)} == {
        "results/0",
        "results/1",
    }


async def test_a_restart_is_told(
    start_service: StartService, model: ScriptedModel, wire: Any
) -> None:
    """Who has read a part is told that it is void, by a call or by an error."""
    broken = Script(chunks=words(5), fault=Fault(at=3, error=OSError("gone")))
    service = await start_service()
    more: dict[str, Any] = {"on_midstream_failure": "restart", "cache": {"mode": "bypass"}}
    async with AsyncClient(service.url, wire=wire) as client:
        model.scripts = [broken, Script(chunks=("whole",))]
        pieces: list[str] = []
        async with client.generate("Hi", **more) as stream:
            async for piece in stream.text(restarted=pieces.clear):
                pieces.append(piece)
            assert (await stream.result()).text == "".join(pieces) == "whole"
        model.calls.clear()
        async with client.generate("Hi", **more) as stream:
            with pytest.raises(AnswerRestarted):
                async for _ in stream.text():
                    pass
