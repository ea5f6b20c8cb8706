"""Streamed chat completions, read by OpenAI's SDK."""

import asyncio
import json
from typing import Any

import aiohttp
import openai
import pydantic
import pytest

from llm_stream.errors import RateLimited, UpstreamRejected
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService
from llm_stream.web.openaidoor.chatreplies import ChatStream
from llm_stream.web.openaidoor.responsesstream import ResponseStream

from ...conftest import StartService
from ...wire import until
from .conftest import ASKED, client_of

STALL = Script(chunks=words(3), fault=Fault(at=1, stall=True))


class Point(pydantic.BaseModel):
    """What the model is asked for."""

    x: int
    y: int


async def lines(http: aiohttp.ClientSession, url: str, **asked: Any) -> tuple[int, list[str]]:
    """A stream as it is on the wire: its status, and its lines that are not empty."""
    async with http.post(
        f"{url}/v1/chat/completions", json={**ASKED, "stream": True, **asked}
    ) as response:
        text = (await response.read()).decode()
    return response.status, [line for line in text.splitlines() if line]


async def test_an_answer_comes_in_chunks(gpt: Any, model: ScriptedModel) -> None:
    """Role, reasoning, text, the end; no counts where none were asked for."""
    model.scripts = [Script(reasoning=("Hm.",))]
    stream = await gpt.chat.completions.create(**ASKED, stream=True)
    chunks = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks]

    assert deltas[0].role == "assistant"
    assert deltas[1].reasoning_content == "Hm."
    assert "".join(delta.content or "" for delta in deltas) == "Hello, world."
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "stop"]
    assert all(chunk.usage is None for chunk in chunks)


async def test_counts_come_last(gpt: Any) -> None:
    """`include_usage`: one more chunk without choices."""
    stream = await gpt.chat.completions.create(
        **ASKED, stream=True, stream_options={"include_usage": True}
    )
    last = [chunk async for chunk in stream][-1]

    assert last.choices == []
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (3, 4)


async def test_the_stream_ends_with_its_mark(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """Lines of data, the last of them `[DONE]`; the same for an answer from the cache."""
    _, first = await lines(http, service.url)
    _, second = await lines(http, service.url)

    assert first[-1] == second[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in first)


async def test_an_empty_answer_is_an_answer(gpt: Any, model: ScriptedModel) -> None:
    """Nothing said is a role and an end."""
    model.scripts = [Script(chunks=())]
    stream = await gpt.chat.completions.create(**ASKED, stream=True)
    chunks = [chunk async for chunk in stream]

    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_the_sdk_puts_it_together(gpt: Any, model: ScriptedModel) -> None:
    """Its own helper parses what has streamed."""
    model.scripts = [Script(chunks=('{"x": 1,', ' "y": 2}'))]
    async with gpt.chat.completions.stream(**ASKED, response_format=Point) as stream:
        answer = await stream.get_final_completion()

    assert answer.choices[0].message.parsed == Point(x=1, y=2)


async def test_calls_of_tools_are_put_together(gpt: Any, model: ScriptedModel) -> None:
    """Each has its place, and the answer ends with them."""
    calls = (("call_1", "add", '{"a": 1}'), ("call_2", "add", '{"a": 2}'))
    model.scripts = [Script(chunks=(), tool_calls=calls)]
    async with gpt.chat.completions.stream(**ASKED) as stream:
        choice = (await stream.get_final_completion()).choices[0]

    assert choice.finish_reason == "tool_calls"
    assert [call.id for call in choice.message.tool_calls] == ["call_1", "call_2"]


async def test_a_failure_before_the_first_output_has_a_status(
    gpt: Any, model: ScriptedModel
) -> None:
    """Nothing was sent, so the SDK raises the error of the status, with the time to wait."""
    model.scripts = [Script(fault=Fault(error=RateLimited("slow down", retry_after_ms=90_000)))]
    with pytest.raises(openai.RateLimitError) as raised:
        await gpt.chat.completions.create(**ASKED, stream=True)

    assert raised.value.code == "rate_limited"
    assert raised.value.response.headers["Retry-After"] == "90"


async def test_a_failure_in_mid_stream_raises(gpt: Any, model: ScriptedModel) -> None:
    """What came before it is there, and the SDK raises."""
    model.scripts = [Script(fault=Fault(at=2, error=ConnectionError("reset")))]
    got: list[str] = []
    with pytest.raises(openai.APIError) as raised:
        async for chunk in await gpt.chat.completions.create(**ASKED, stream=True):
            got.append(chunk.choices[0].delta.content)

    assert "".join(got) == "Hello, "
    assert raised.value.code == "upstream_failed"


async def test_a_failed_stream_never_looks_finished(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """No finish reason and no `[DONE]`: its last line is the error."""
    model.scripts = [Script(fault=Fault(at=2, error=ConnectionError("reset")))]
    status, told = await lines(http, service.url)

    assert status == 200
    assert json.loads(told[-1].removeprefix("data: "))["error"]["type"] == "server_error"
    assert not any('"finish_reason":"' in line or "[DONE]" in line for line in told)


async def test_what_was_sent_is_not_taken_back(gpt: Any, model: ScriptedModel) -> None:
    """An answer that has to be begun anew, to meet its schema, is an error here."""
    model.scripts = [Script(chunks=('{"x": 1}',)), Script(chunks=('{"x": 1, "y": 2}',))]
    with pytest.raises(openai.APIError, match="begun anew"):
        async for _ in await gpt.chat.completions.create(
            **ASKED,
            stream=True,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "point", "schema": Point.model_json_schema()},
            },
        ):
            pass


async def test_closing_the_stream_cancels(gpt: Any, model: ScriptedModel) -> None:
    """Nobody can come back to it, so the model is left at once."""
    model.scripts = [STALL]
    stream = await gpt.chat.completions.create(**ASKED, stream=True)
    await anext(stream)
    await stream.close()
    await until(model.calls[0].closed.is_set)

    assert model.calls[0].said == 1


async def test_leaving_before_the_first_chunk_cancels(gpt: Any, model: ScriptedModel) -> None:
    """Nothing was sent yet, and whoever waited is gone."""
    model.scripts = [Script(fault=Fault(stall=True))]
    asking = asyncio.create_task(gpt.chat.completions.create(**ASKED, stream=True))
    await until(lambda: model.calls)
    asking.cancel()
    await until(model.calls[0].closed.is_set)
    await asyncio.gather(asking, return_exceptions=True)

    assert model.calls[0].said == 0


async def test_a_shared_stream_goes_on(
    gpt: Any, service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """One of two readers of a run leaves; the other one still reads it."""
    model.scripts = [STALL]
    first = await gpt.chat.completions.create(**ASKED, stream=True)
    second = await gpt.chat.completions.create(**ASKED, stream=True)
    await anext(first)
    await anext(second)
    run = next(iter(service.parts.registry.newest()))
    await first.close()
    await until(lambda: run.readers == 1)

    assert second.response.headers["Cache-Status"].startswith("llm-stream; fwd=miss; collapsed")
    assert run.state == "running"
    await second.close()
    await until(lambda: run.state == "cancelled")


async def test_a_cancelled_run_raises(
    gpt: Any, service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Somebody else ends the run: the stream is not whole, and says so."""
    model.scripts = [STALL]
    stream = await gpt.chat.completions.create(**ASKED, stream=True)
    await anext(stream)
    run = stream.response.headers["X-Run-Id"]
    async with http.post(f"{service.url}/v1/runs/{run}/cancel") as response:
        assert response.status == 200
    with pytest.raises(openai.APIError) as raised:
        async for _ in stream:
            pass

    assert raised.value.code == "run_cancelled"


async def test_a_silent_model_does_not_keep_the_headers(
    start_service: StartService, model: ScriptedModel
) -> None:
    """After a heartbeat's time of silence the stream begins, and failures are told in it."""
    model.scripts = [Script(fault=Fault(stall=True))]
    service = await start_service(server={"heartbeat_seconds": 0.05})
    async with client_of(service) as gpt, asyncio.timeout(10):
        stream = await gpt.chat.completions.create(**ASKED, stream=True)
        run = next(iter(service.parts.registry.newest()))
        run.cancel("requested")
        with pytest.raises(openai.APIError):
            await anext(stream)


@pytest.mark.parametrize(
    "make",
    [lambda run: ChatStream(run, include_usage=True), lambda run: ResponseStream(run, {})],
    ids=["chat", "response"],
)
async def test_a_hole_is_an_error(gpt: Any, service: RunningService, make: Any) -> None:
    """A stream that has lost a part of the answer says so, and then nothing more."""
    await gpt.chat.completions.create(**ASKED)
    run = next(iter(service.parts.registry.newest()))
    framing = make(run).framing
    events = run.events()
    before = framing.events(events[:3])
    hole = framing.notice("gap", {"after": "1-3", "first": "1-5"})

    assert b"Hello" in before
    assert b'"error":{"message":"A part of this answer was lost.' in hole
    assert framing.events(events[4:]) == b""
    assert framing.notice("heartbeat", {}) == b": heartbeat\n\n"


async def test_a_repeatable_answer_is_spliced(
    start_service: StartService, model: ScriptedModel
) -> None:
    """What breaks off at temperature 0 goes on where it was, by another call."""
    service = await start_service(models={"retries": {"initial_seconds": 0.0}})
    model.scripts = [Script(fault=Fault(at=2, error=ConnectionError("reset"))), Script()]
    async with client_of(service) as gpt:
        stream = await gpt.chat.completions.create(**ASKED, stream=True, temperature=0)
        said = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(said) == "Hello, world."
    assert len(model.calls) == 2


async def test_the_model_that_answers_is_named(
    start_service: StartService, model: ScriptedModel
) -> None:
    """A fallback's chunks have its name."""
    service = await start_service(ScriptedModel("other"))
    model.scripts = [Script(fault=Fault(error=UpstreamRejected("no")))]
    async with client_of(service) as gpt:
        stream = await gpt.chat.completions.create(
            **ASKED, stream=True, extra_body={"fallback_models": ["other"]}
        )
        names = {chunk.model async for chunk in stream}

    assert names == {"other"}
