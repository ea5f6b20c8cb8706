"""The JavaScript client on both wires: whole, resumed, refused, left."""

import asyncio
import json
import re
from typing import Any

import pytest

from llm_stream.client import AsyncClient
from llm_stream.client.problems import BY_CODE, ClientError
from llm_stream.resources import resource
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.faultproxy import FaultProxy
from llm_stream.testing.service import RunningService

from .conftest import Asker, Client, Wire

pytestmark = [pytest.mark.node, pytest.mark.asyncio_loop]  # the proxy needs the loop

BODY = {"prompt": "Hi"}
JUDGED = {"reason": "There is one.", "evidence": [], "rating": "met", "missing": []}
TASK = {
    "id": "t1", "title": "Read the file", "description": "All rows.", "type": "task",
    "depends_on": [], "acceptance_criteria": ["rows are read"], "deliverables": ["reader"],
    "effort": {"low": 1, "likely": 2, "high": 3, "unit": "hours"}, "complexity": "low",
    "priority": "high", "risk": "low", "expand": {"recommended": False, "hint": ""},
    "covers": [],
}  # fmt: skip
STALLS = Script(chunks=words(3), fault=Fault(at=1, stall=True))


async def test_text_comes_piece_by_piece(client: Client, model: ScriptedModel) -> None:
    """Every piece as the model has sent it, and the whole of them as the checked answer."""
    model.scripts = [Script(chunks=words(50), reasoning=("Hm.",))]
    told = await client.ask("text", body=BODY)
    answer = told["answer"]

    assert told["pieces"] == list(words(50))
    assert answer["text"] == "".join(words(50))
    assert answer["checked"]
    assert (answer["recipe"], answer["model"], answer["cache"]) == ("generate", "scripted", "miss")
    assert (answer["reasoning"], answer["finishReason"], answer["attempts"]) == ("Hm.", "stop", 1)
    assert answer["usage"] == {"input_tokens": 3, "output_tokens": 4}
    assert told["again"] == answer


async def test_calls_of_tools_go_back_as_they_came(client: Client, model: ScriptedModel) -> None:
    """A request takes them so: without what makes them events."""
    model.scripts = [Script(chunks=("Wait.",), tool_calls=(("c1", "now", "{}"),)), Script()]
    tools, question = [{"name": "now"}], {"role": "user", "content": "What time is it?"}
    first = await client.ask("result", body={"messages": [question], "tools": tools})
    said = {"role": "assistant", "content": first["text"], "tool_calls": first["toolCalls"]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "Noon."}
    turns = [question, said, result]
    second = await client.ask("result", body={"messages": turns, "tools": tools})

    assert first["toolCalls"] == [{"tool_call_id": "c1", "name": "now", "arguments": {}}]
    assert second["text"] == "Hello, world."


async def test_events_are_those_of_the_run(client: Client) -> None:
    """All of them, from `run.started` to the terminal one, cursors without a hole."""
    told = await client.ask("events", body=BODY)
    events = told["events"]

    assert [event["id"] for event in events] == [f"1-{n + 1}" for n in range(len(events))]
    assert (events[0]["type"], events[-1]["type"]) == ("run.started", "run.completed")
    assert told["cursor"] == events[-1]["id"]


async def test_a_stream_can_be_opened_first(client: Client) -> None:
    """Then its run and the cache's part are known before anything is read."""
    told = await client.ask("opened", body=BODY)

    assert told["run"].startswith("run_")
    assert told["cache"] == "miss"


@pytest.mark.parametrize(
    ("recipe", "body", "said", "path"),
    [("evaluate", {"stage_name": "x", "stage_data": {"a": 1}, "criteria": ["It is."]},
      JUDGED, "criteria/0"),
     ("breakdown", {"task": "Import the orders"},
      {"tasks": [TASK], "open_questions": []}, "tasks/0")],
)  # fmt: skip
async def test_finished_pieces_come_by_themselves(
    client: Client, model: ScriptedModel, recipe: str, body: Any, said: Any, path: str
) -> None:
    """Criteria and tasks at their paths, before the result that has them."""
    model.scripts = [Script(chunks=(json.dumps(said),))]
    (item,) = await client.ask("items", recipe=recipe, body=body)
    answer = await client.ask("result", recipe=recipe, body=body)

    kind = path.partition("/")[0]
    assert (item["path"], answer["items"]) == (path, [item])
    assert [each["title"] for each in answer["result"][kind]] == [item["value"]["title"]]


async def test_reasoning_is_text(client: Client, model: ScriptedModel) -> None:
    """Of an answer in several steps the text is the answer alone, and is checked."""
    model.scripts = [
        Script(chunks=("Draft",)),
        Script(chunks=("Flaw",)),
        Script(chunks=("Better",)),
    ]
    told = await client.ask(
        "text", recipe="reason", body={"question": "Why?", "strategy": "critique"}
    )

    assert (told["pieces"], told["answer"]["text"]) == (["Better"], "Better")
    assert told["answer"]["checked"]


async def test_results_of_a_batch_are_items(client: Client) -> None:
    """Each with its path."""
    requests = [{"recipe": "generate", "input": {"prompt": word}} for word in "ab"]
    items = await client.ask("items", recipe="batch", body={"requests": requests})

    assert {item["path"] for item in items} == {"results/0", "results/1"}
    assert [item["value"]["answer"]["text"] for item in items] == ["Hello, world."] * 2


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_lost_connections_lose_nothing(
    client: Client, proxy: FaultProxy, model: ScriptedModel, how: Any
) -> None:
    """Every connection is cut somewhere; the answer is whole, and asked of the model once."""
    model.scripts = [Script(chunks=words(300))]
    proxy.cut(12_000, how=how)
    told = await client.ask("text", body=BODY)

    assert "".join(told["pieces"]) == told["answer"]["text"] == "".join(words(300))
    assert told["resumes"] >= 2
    assert len(model.calls) == 1


async def test_a_service_that_is_away_is_waited_for(
    client: Client, proxy: FaultProxy, model: ScriptedModel
) -> None:
    """The start is sent when it is back."""
    await proxy.refuse()
    asking = asyncio.create_task(client.ask("result", body=BODY))
    await asyncio.wait([asking], timeout=0.05)
    assert not asking.done()
    await proxy.accept()

    assert (await asking)["text"] == "Hello, world."
    assert len(model.calls) == 1


async def test_patience_ends(client: Client, proxy: FaultProxy) -> None:
    """Then the reader is told that nobody is there."""
    await proxy.refuse()
    told = await client.begin("result", {"patienceMs": 0}, body=BODY)

    assert (told["raised"], told["code"], told["retryable"]) == ("StreamError", "unreachable", True)


async def test_silence_is_a_lost_connection(client: Client, proxy: FaultProxy) -> None:
    """A connection on which the service does not answer in time is given up."""
    proxy.stall("down")
    short = {"patienceMs": 0, "silenceMs": 100, "connectMs": 100}
    told = await client.begin("result", short, body=BODY)
    proxy.mend()

    assert told["code"] == "unreachable"


@pytest.mark.slow
async def test_a_run_that_waits_for_a_slow_reader_is_whole(
    client: Client, model: ScriptedModel, service: RunningService
) -> None:
    """What is more than a reader may have waiting is read when it has taken the rest."""
    chunks = words(4_500)
    model.scripts = [Script(chunks=chunks, burst=True)]
    told = await client.begin("held", body=BODY)
    run = service.parts.registry.find(told["reached"])
    while run.state == "running":
        await asyncio.sleep(0)

    assert (await client.go())["value"] == {"pieces": list(chunks), "resumes": 0}


@pytest.mark.parametrize(
    ("fields", "code", "status", "field"),
    [
        ({"model": "nobody"}, "unknown_model", 404, "model"),
        ({"options": {"temperature": 9}}, "invalid_option", 400, "options.temperature"),
        ({"promt": "x"}, "unknown_field", 400, "promt"),
    ],
)
async def test_a_refusal_is_the_services_error(
    client: Client, fields: Any, code: str, status: int, field: str
) -> None:
    """By its code, with status and the field at fault."""
    told = await client.begin("result", body={**BODY, **fields})

    assert (told["raised"], told["typed"], told["retryable"]) == ("StreamError", True, False)
    assert (told["code"], told["status"], told["field"]) == (code, status, field)


async def test_a_failed_run_never_looks_finished(client: Client, model: ScriptedModel) -> None:
    """What came is given, then its error is raised, wherever it is read; there is no answer."""
    model.scripts = [Script(chunks=words(5), fault=Fault(at=3, error=OSError("gone")))]
    told = await client.ask("broken", body=BODY)

    assert told["pieces"] == list(words(5))[:3]
    assert told["told"]["code"] == told["again"]["code"] == "upstream_failed"


async def test_a_cancelled_run_is_an_error(
    client: Client, model: ScriptedModel, service: RunningService
) -> None:
    """Whoever has cancelled it."""
    model.scripts = [STALLS]
    run = (await client.begin("held", body=BODY))["reached"]
    await service.parts.runs.release(service.parts.registry.find(run), None)
    told = await client.go()

    assert (told["code"], told["status"]) == ("run_cancelled", 409)


async def test_leaving_cancels_what_was_started(
    client: Client, model: ScriptedModel, service: RunningService
) -> None:
    """A loop that is left lets go of the model, and its stream gives nothing more."""
    model.scripts = [STALLS]
    told = await client.ask("left", body=BODY)

    assert await asyncio.to_thread(model.calls[0].closed.wait, 5)
    assert service.parts.registry.find(told["run"]).state == "cancelled"
    assert told["after"]["code"] == "client_closed"


async def test_what_was_left_gives_no_answer(client: Client) -> None:
    """Not even one of which all has arrived: that would be a matter of the moment."""
    await client.begin("leftLate", body=BODY)
    told = (await client.go())["value"]

    assert (told["piece"], told["after"]["code"]) == ("Hello", "client_closed")


@pytest.mark.parametrize("reason", [None, "TimeoutError"])
async def test_a_signal_leaves_as_well(
    client: Client, model: ScriptedModel, reason: str | None
) -> None:
    """What is being read fails with the signal's reason."""
    model.scripts = [STALLS]
    told = await client.ask("aborted", body=BODY, reason=reason)

    assert told["told"]["raised"] == (reason or "AbortError")
    assert told["again"] == {"done": True}
    assert await asyncio.to_thread(model.calls[0].closed.wait, 5)


async def test_a_signal_may_come_first(client: Client, model: ScriptedModel) -> None:
    """Then nothing is asked."""
    told = await client.begin("abortedBefore", body=BODY)

    assert told["raised"] == "AbortError"
    assert model.calls == []


async def test_leaving_takes_no_equal_stream_along(
    client: Client, model: ScriptedModel, service: RunningService
) -> None:
    """Two streams of one client share a run: the last one's leaving ends it."""
    model.scripts = [STALLS]
    run = (await client.begin("together", body=BODY))["reached"]
    assert service.parts.registry.find(run).state == "running"
    told = await client.go()

    assert told["value"] == {"cache": "joined"}
    assert await asyncio.to_thread(model.calls[0].closed.wait, 5)


async def test_a_cut_makes_no_stranger_of_its_reader(
    client: Client, proxy: FaultProxy, model: ScriptedModel, service: RunningService, wire: Wire
) -> None:
    """Who was cut off still ends its run over SSE; a socket's claim has gone with the socket."""
    model.scripts = [STALLS]
    begun = await client.begin("cut", body={**BODY, "on_disconnect": "continue"})
    proxy.cut()
    proxy.mend()
    told = await client.go()

    assert told["value"]["code"] == "client_closed"
    state = service.parts.registry.find(begun["reached"]).state
    assert state == ("cancelled" if wire == "sse" else "running")


async def test_followers_leave_a_run_alone(
    client: Client, model: ScriptedModel, service: RunningService
) -> None:
    """It is read from any cursor, and goes on when they leave."""
    model.scripts = [STALLS]
    async with AsyncClient(service.url, key="") as other, other.generate("Hi") as stream:
        await anext(stream.text())
        event = await client.ask("followed", run=stream.run)

        assert (event["type"], event["text"]) == ("text.delta", words(3)[0])
        assert service.parts.registry.find(stream.run).state == "running"


async def test_what_has_ended_is_followed_to_its_end(client: Client) -> None:
    """Behind its last event there is nothing, and that is no failure; but no answer either."""
    answer = await client.ask("result", body=BODY)
    whole = await client.ask("follow", run=answer["run"], after="0")
    behind = await client.ask("follow", run=answer["run"], after=whole["events"][-1]["id"])

    assert whole["told"] == answer["text"]
    assert behind["events"] == []
    assert behind["told"]["code"] == "events_lost"


async def test_an_unknown_run_is_told_at_once(client: Client) -> None:
    """By the service's error."""
    told = await client.begin("follow", run="run_0", after="0")

    assert (told["code"], told["status"]) == ("unknown_run", 404)


async def test_a_closed_client_ends_its_streams(client: Client, model: ScriptedModel) -> None:
    """What is read fails, and nothing new is asked."""
    model.scripts = [STALLS]
    told = await client.ask("closed", body=BODY)

    assert [each["code"] for each in told] == ["client_closed"] * 3


@pytest.mark.parametrize(
    ("method", "words_", "names"),
    [
        ("runs", [{"limit": 1}], {"runs", "total"}),
        ("models", [], {"data", "aliases"}),
        ("templates", [], {"templates"}),
        ("invalidate", [{"tag": "shop"}], {"dropped"}),
    ],
)
async def test_other_calls_are_made_once(
    asker: Asker, service: RunningService, method: str, words_: Any, names: set[str]
) -> None:
    """And give what the service answers."""
    told = await Client(asker, service.url).ask("call", method=method, words=words_)

    assert names <= set(told)


async def test_a_refused_call_is_the_services_error(asker: Asker, service: RunningService) -> None:
    """By its code, as everywhere."""
    told = await Client(asker, service.url).begin("call", method="cancel", words=["run_0"])

    assert (told["code"], told["status"]) == ("unknown_run", 404)


async def test_a_socket_needs_a_class(asker: Asker, service: RunningService) -> None:
    """Where the platform has no WebSocket, one can be given."""
    told = await Client(asker, service.url).ask("socketless")

    assert told == ["TypeError", "Hello, world."]


def test_every_code_has_a_name() -> None:
    """types.js lists what the service tells, and what the client itself does."""
    text = resource("static").joinpath("client/types.js").read_text()
    own = {error.code for error in ClientError.__subclasses__()}
    theirs = {code for code, error in BY_CODE.items() if error.__module__ != ClientError.__module__}

    assert set(re.findall(r'"(\w+)"', text.partition("ServiceCode")[0])) == theirs
    assert set(re.findall(r'"(\w+)"', _line(text, "ClientCode"))) == own


def _line(text: str, name: str) -> str:
    """The line of a text that has this word."""
    return next(line for line in text.splitlines() if name in line)
