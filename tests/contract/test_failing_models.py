"""What callers see of models that fail, over the wires."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import aiohttp
import pytest

from llm_stream.errors import RateLimited
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..wire import SSE, sse_events

DOWN = Script(fault=Fault(error=ConnectionError("down")))
CHUNKS = words(20)
TEXT = "".join(CHUNKS)
CUT = Script(chunks=CHUNKS, fault=Fault(at=7, error=ConnectionError("cut")))
AT_ONCE: dict[str, Any] = {"retries": {"initial_seconds": 0}}

Stream = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest.fixture
async def service(start_service: StartService) -> RunningService:
    """A service that asks again without a pause."""
    return await start_service(models=AT_ONCE)


@pytest.fixture
def stream(service: RunningService, http: aiohttp.ClientSession) -> Stream:
    """Events of a generate request, read over SSE."""

    async def stream(**body: Any) -> list[dict[str, Any]]:
        url = f"{service.url}/v1/generate"
        async with http.post(url, json={"prompt": "x", **body}, headers=SSE) as response:
            assert response.status == 200
            return [event.payload async for event in sse_events(response)]

    return stream


def text_of(events: list[dict[str, Any]]) -> str:
    """The text a reader has in the end."""
    start = max((n for n, e in enumerate(events) if e["type"] == "run.restarted"), default=0)
    return "".join(e["text"] for e in events[start:] if e["type"] == "text.delta")


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Types of the events, each once in a row."""
    found: list[str] = []
    for event in events:
        if not found or found[-1] != event["type"]:
            found.append(event["type"])
    return found


async def test_a_stream_shows_each_failed_attempt(stream: Stream, model: ScriptedModel) -> None:
    """The reader knows why it waits, and how often was asked in the end."""
    model.scripts = [DOWN, DOWN, Script()]
    events = await stream()
    failed = [event for event in events if event["type"] == "attempt.failed"]

    assert [event["error"]["code"] for event in failed] == ["upstream_failed"] * 2
    assert [event["next"] for event in failed] == [{"model": "scripted", "delay_ms": 0}] * 2
    assert (events[-1]["type"], events[-1]["attempts"]) == ("run.completed", 3)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"on_midstream_failure": "error"}, "run.failed"),
        ({"on_midstream_failure": "splice"}, "run.completed"),
        ({"on_midstream_failure": "restart"}, "run.completed"),
        ({"options": {"temperature": 0}}, "run.completed"),
        ({}, "run.failed"),
    ],
)
async def test_an_answer_that_breaks_off_ends_as_asked(
    stream: Stream, model: ScriptedModel, asked: dict[str, Any], expected: str
) -> None:
    """One terminal event; if it completes, the text is whole and its hash true."""
    model.scripts = [CUT, Script(chunks=CHUNKS)]
    events = await stream(**asked)
    whole = expected == "run.completed"

    assert [e["type"] for e in events if e["type"].startswith("run.")][-1] == expected
    assert text_of(events) == (TEXT if whole else "".join(CHUNKS[:7]))
    assert len(model.calls) == (2 if whole else 1)
    if whole:
        assert events[-1]["text_sha256"] == sha256(TEXT.encode()).hexdigest()
    else:
        assert events[-1]["error"]["code"] == "upstream_failed"


async def test_a_diverging_answer_is_the_first_failure(
    stream: Stream, model: ScriptedModel
) -> None:
    """Nothing of the second answer is seen, and both failures are told."""
    model.scripts = [CUT, Script(chunks=words(20, seed=1))]
    events = await stream(on_midstream_failure="splice")

    assert kinds(events) == ["run.started", "text.delta", "attempt.failed", "run.failed"]
    codes = [e["error"]["code"] for e in events if "error" in e]
    assert codes == ["upstream_failed", "invalid_output", "upstream_failed"]


async def test_a_spliced_answer_is_kept_and_found_whole(
    stream: Stream, service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """What two calls have said together is one answer."""
    model.scripts = [CUT, Script(chunks=CHUNKS)]
    await stream(on_midstream_failure="splice")
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "x"}) as response:
        answer = await response.json()

    assert (answer["cached"], answer["text"]) == (True, TEXT)


async def test_a_model_that_is_left_alone_says_when_to_come_back(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """503 with Retry-After, and no call."""
    service = await start_service(
        models={"retries": {"attempts": 1}, "breaker": {"failures": 1, "open_seconds": 60}}
    )
    model.scripts = [DOWN]
    for status in (502, 503):
        async with http.post(f"{service.url}/v1/generate", json={"prompt": "x"}) as response:
            assert response.status == status
            body = await response.json()

    assert body["code"] == "model_resting"
    assert 58 <= int(response.headers["Retry-After"]) <= 60
    assert len(model.calls) == 1


async def test_a_limit_beyond_our_patience_is_handed_on(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The caller learns when the provider wants to be asked again."""
    limited = RateLimited("429", retry_after_ms=90_000)
    model.scripts = [Script(fault=Fault(error=limited))]
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "x"}) as response:
        body = await response.json()

    assert (response.status, response.headers["Retry-After"]) == (429, "90")
    assert (body["retry_after_ms"], len(model.calls)) == (90_000, 1)


async def test_an_unknown_policy_is_refused(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A 400 that names the field, before any call."""
    body = {"prompt": "x", "on_midstream_failure": "prefill"}
    async with http.post(f"{service.url}/v1/generate", json=body) as response:
        problem = await response.json()

    assert (response.status, problem["field"]) == (400, "on_midstream_failure")
    assert model.calls == []


async def test_a_recipe_takes_its_inner_answers_as_they_are_mended(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A step whose call broke off is continued like any; the recipe never notices."""
    model.scripts = [Script(chunks=("yes",)), CUT, Script(chunks=CHUNKS), Script(chunks=("yes",))]
    body = {"question": "Why?", "strategy": "critique", "on_midstream_failure": "splice"}
    async with http.post(f"{service.url}/v1/reason", json=body) as response:
        answer = await response.json()

    assert (response.status, answer["answer"]) == (200, "yes")
    assert [step["text"] for step in answer["steps"]][1] == TEXT
