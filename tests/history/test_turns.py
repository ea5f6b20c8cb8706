"""What llm's own command line shows of the service's runs."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import llm
import pytest

from llm_stream.engine.fold import Fold
from llm_stream.errors import UpstreamRejected
from llm_stream.history.responses import response_of
from llm_stream.history.turns import Finished, logged_of
from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..wire import start_async
from .conftest import ended, rows
from .llmlogs import llm_logs, llm_rows

pytestmark = pytest.mark.slow


@pytest.fixture
async def service(start_service: StartService, path: Path) -> RunningService:
    """A service that records."""
    return await start_service(history={"enabled": True, "path": str(path)})


async def post(
    http: aiohttp.ClientSession, service: RunningService, recipe: str = "generate", **body: Any
) -> Any:
    """POST: the decoded body."""
    async with http.post(f"{service.url}/v1/{recipe}", json=body) as response:
        return await response.json()


async def recorded(service: RunningService) -> None:
    """Return when all that has ended is in the database."""
    history = service.parts.history
    assert history is not None
    await history.forget()


async def test_llm_logs_shows_a_run(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, path: Path
) -> None:
    """Prompt, system, answer, reasoning, options, schema, usage: each where llm has it."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    model.scripts = [Script(chunks=('{"a":', "1}"), reasoning=("I ", "think."), usage=(11, 7))]
    answer = await post(
        http, service, system="Be brief.", prompt="Count", options={"temperature": 0}, schema=schema
    )
    await recorded(service)
    (row,) = await llm_rows(path.parent)

    assert row["prompt"] == "Count"
    assert row["system"] == "Be brief."
    assert row["response"] == '{"a":1}'
    assert row["reasoning"] == "I think."
    assert row["options_json"] == {"temperature": 0}
    assert row["schema_json"] == schema
    assert (row["input_tokens"], row["output_tokens"]) == (11, 7)
    assert (row["model"], row["resolved_model"]) == ("scripted", "scripted-v1")
    assert row["datetime_utc"].startswith("20")
    assert row["conversation_name"] == "Count"
    about = row["response_json"]["llm_stream"]
    assert about["run"] == answer["id"]
    assert about["fingerprint"] == answer["cache"]["key"]
    assert (about["status"], about["finish_reason"]) == ("completed", "stop")


async def test_llm_logs_shows_tools(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, path: Path
) -> None:
    """What was declared, what was called, and what came back."""
    model.scripts = [Script(chunks=(), tool_calls=(("c2", "now", "{}"),))]
    call = {"tool_call_id": "c1", "name": "now", "arguments": {"zone": "UTC"}}
    turns = [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "Noon.", "tool_call_id": "c1"},
    ]
    tools = [{"name": "now", "description": "Tells the time."}]
    await post(http, service, messages=turns, tools=tools)
    await recorded(service)
    (row,) = await llm_rows(path.parent)

    assert [tool["name"] for tool in row["tools"]] == ["now"]
    assert [(call["name"], call["tool_call_id"]) for call in row["tool_calls"]] == [("now", "c2")]
    assert [result["output"] for result in row["tool_results"]] == ["Noon."]


async def test_llm_logs_searches_and_filters(
    service: RunningService, http: aiohttp.ClientSession, path: Path
) -> None:
    """-q finds by words, -m by model, --short lists, and the newest come last."""
    for prompt in ("plan a shop", "plan a bakery", "plan a library"):
        await post(http, service, prompt=prompt)
    await recorded(service)
    folder = path.parent

    assert [row["prompt"] for row in await llm_rows(folder)] == [
        "plan a shop", "plan a bakery", "plan a library",
    ]  # fmt: skip
    assert [row["prompt"] for row in await llm_rows(folder, "-q", "bakery")] == ["plan a bakery"]
    assert await llm_rows(folder, "-m", "other") == []
    assert len(await llm_rows(folder, "-m", "scripted")) == 3
    assert "prompt: plan a library" in await llm_logs(folder, "--short", "-n", "1")
    assert "## Response\n\nHello, world." in await llm_logs(folder, "-n", "1")


async def test_endings_are_told_apart(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, path: Path
) -> None:
    """Failed and cancelled runs have the text they had, and say so in name, JSON and side table."""
    fail = Fault(at=2, error=ValueError("broken"))
    model.scripts = [
        Script(),
        Script(chunks=("half ", "an ", "answer"), fault=fail),
        Script(fault=Fault(at=0, error=UpstreamRejected("broken"))),
        Script(chunks=("some ", "text"), fault=Fault(at=2, stall=True)),
    ]
    for prompt in ("whole", "partial", "failed"):
        await post(http, service, prompt=prompt)
    run, _ = await start_async(http, service.url, prompt="cancelled")
    stalled = service.parts.registry.find(run)
    while stalled.statistics().chunks < 2:
        await asyncio.sleep(0)
    stalled.cancel("requested")
    while not stalled.done:
        await asyncio.sleep(0)
    await recorded(service)
    logged = {row["prompt"]: row for row in await llm_rows(path.parent)}
    found = {
        row[0]: row[1:]
        for row in rows(
            path,
            "SELECT prompt, status, error_code, partial FROM llm_stream_runs"
            " JOIN turn_search ON turn_id = response_id",
        )
    }

    assert found == {
        "whole": ("completed", None, 0),
        "partial": ("failed", "upstream_failed", 1),
        "failed": ("failed", "upstream_rejected", 0),
        "cancelled": ("cancelled", "requested", 1),
    }
    assert logged["partial"]["response"] == "half an "
    assert logged["partial"]["conversation_name"] == "[failed] partial"
    assert logged["failed"]["response"] == ""
    assert logged["failed"]["response_json"]["llm_stream"]["error"] == "upstream_rejected"
    assert logged["cancelled"]["response"] == "some text"
    assert logged["cancelled"]["response_json"]["llm_stream"]["status"] == "cancelled"


async def test_the_calls_of_a_recipe_belong_together(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, path: Path
) -> None:
    """One conversation: the inner calls, then the recipe with its input and result as JSON."""
    answer = await post(
        http, service, "reason", question="Why is the sky blue?", strategy="critique"
    )
    await recorded(service)
    logged = await llm_rows(path.parent)

    assert {row["conversation_id"] for row in logged} == {answer["id"][4:].lower()}
    assert {row["conversation_name"] for row in logged} == {"reason: Why is the sky blue?"}
    assert len(logged) == len(model.calls) + 1
    assert '"question": "Why is the sky blue?"' in logged[-1]["prompt"]
    assert logged[-1]["response_json"]["llm_stream"]["recipe"] == "reason"
    assert logged[-1]["response"]


async def test_a_batch_is_its_requests(
    service: RunningService, http: aiohttp.ClientSession, path: Path
) -> None:
    """Its calls are logged one by one, in one conversation; itself it is a row beside them."""
    requests = [{"input": {"prompt": f"q {n}"}} for n in range(3)]
    await post(http, service, "batch", requests=requests)
    await recorded(service)
    logged = await llm_rows(path.parent)

    assert sorted(row["prompt"] for row in logged) == ["q 0", "q 1", "q 2"]
    assert len({row["conversation_id"] for row in logged}) == 1
    assert rows(
        path, "SELECT recipe, response_id IS NULL, count(*) FROM llm_stream_runs GROUP BY 1, 2"
    ) == [("batch", 1, 1), ("generate", 0, 3)]


async def test_attachments_are_logged_as_llm_does(
    service: RunningService, http: aiohttp.ClientSession, path: Path
) -> None:
    """Their bytes once, under their hash."""
    attachment = {"type": "text/plain", "data": "aGVsbG8="}
    message = {"role": "user", "content": "Read", "attachments": [attachment]}
    await post(http, service, messages=[message])
    await recorded(service)
    (row,) = await llm_rows(path.parent)

    assert [each["type"] for each in row["attachments"]] == ["text/plain"]
    assert rows(path, "SELECT content FROM attachments") == [(b"hello",)]


async def test_hits_and_joins_are_not_logged_again(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, path: Path
) -> None:
    """One row for one call of a model, however many asked for its answer."""
    await asyncio.gather(*(post(http, service, prompt="same") for _ in range(5)))
    await post(http, service, prompt="same")
    await recorded(service)

    assert len(model.calls) == 1
    assert len(await llm_rows(path.parent)) == 1


async def test_ids_sort_as_llm_wants_them(
    service: RunningService, http: aiohttp.ClientSession, path: Path
) -> None:
    """Lower-case ULIDs, so that rows of other programs sort among them by time."""
    await post(http, service, prompt="one")
    await recorded(service)
    ids = [value for row in rows(path, "SELECT id, thread_id FROM turns") for value in row]

    assert all(len(value) == 26 and value == value.lower() for value in ids)
    assert all(value.startswith("0") for value in ids)


async def test_all_that_waits_counts() -> None:
    """A large input and the requests of a batch count in the bound of what may wait."""
    spec, run = await ended("q", "a")
    small = Finished(spec, run, None, 0.0).size
    large = Finished(replace(spec, input={"text": "x" * 100_000}), run, None, 0.0).size
    batch = Finished(replace(spec, children=(spec, spec)), run, None, 0.0).size

    assert large > small + 100_000
    assert batch > small


async def test_a_logged_answer_is_read_and_not_continued() -> None:
    """Its text is there without a model; who goes on from it is told to ask the model itself."""
    spec, run = await ended("q", "a")
    finished = Finished(spec, run, None, 0.0)
    response = response_of(
        logged_of(finished, Fold(run.events()), run.statistics(), "thread", "name")
    )

    assert response.text() == "a"
    with pytest.raises(llm.ModelError, match="Ask the model itself"):
        response.reply("more").text()
