"""Chat completions that are not streamed, read by OpenAI's SDK."""

import asyncio
import base64
from typing import Any

import aiohttp
import openai
import pydantic
import pytest

from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService

from ...wire import until
from .conftest import ASKED, HELLO

PNG = base64.b64encode(b"\x89PNG").decode()


class Point(pydantic.BaseModel):
    """What the model is asked for."""

    x: int
    y: int


async def test_a_conversation_is_answered(gpt: Any) -> None:
    """Text, how it ended, the tokens, the model and the run it is."""
    raw = await gpt.chat.completions.with_raw_response.create(**ASKED)
    answer = raw.parse()

    assert answer.choices[0].message.content == "Hello, world."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 7
    assert answer.model == "scripted"
    assert answer.id.removeprefix("chatcmpl-") == raw.headers["X-Run-Id"].removeprefix("run_")


async def test_the_second_answer_is_kept(gpt: Any, model: ScriptedModel) -> None:
    """An equal question is a hit, and says so in its headers."""
    first = await gpt.chat.completions.with_raw_response.create(**ASKED)
    second = await gpt.chat.completions.with_raw_response.create(**ASKED)

    assert "fwd=miss" in first.headers["Cache-Status"]
    assert "hit" in second.headers["Cache-Status"]
    assert second.headers["Age"] == "0"
    assert len(model.calls) == 1


async def test_answers_are_shared_with_generate(
    gpt: Any, service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """What /v1/generate was asked before is a hit here."""
    body = {
        "model": "scripted",
        "system": "Be short.",
        "prompt": "Say hello.",
        "options": {"max_tokens": 9, "temperature": 0},
    }
    async with http.post(f"{service.url}/v1/generate", json=body) as response:
        assert response.status == 200
    raw = await gpt.chat.completions.with_raw_response.create(
        model="fast",
        messages=[{"role": "developer", "content": "Be short."}, *HELLO],
        max_completion_tokens=9,
        temperature=0,
        presence_penalty=0,
        user="somebody",
        metadata={"a": "b"},
    )

    assert "hit" in raw.headers["Cache-Status"]
    assert len(model.calls) == 1


async def test_the_cache_can_be_left_out(gpt: Any, model: ScriptedModel) -> None:
    """This service's own fields go through `extra_body`."""
    for _ in range(2):
        await gpt.chat.completions.create(**ASKED, extra_body={"cache": {"mode": "bypass"}})

    assert len(model.calls) == 2


async def test_an_answer_is_parsed(gpt: Any, model: ScriptedModel) -> None:
    """A schema reaches the model, and what comes is the SDK's own object."""
    model.scripts = [Script(chunks=('{"x": 1,', ' "y": 2}'))]
    answer = await gpt.chat.completions.parse(**ASKED, response_format=Point)

    assert answer.choices[0].message.parsed == Point(x=1, y=2)
    assert model.calls[0].schema["required"] == ["x", "y"]


async def test_json_has_nothing_around_it(gpt: Any, model: ScriptedModel) -> None:
    """A model that puts its JSON into a fence is read nevertheless."""
    model.scripts = [Script(chunks=('```json\n{"x": 1, "y": 2}\n```',))]
    answer = await gpt.chat.completions.parse(**ASKED, response_format=Point)

    assert answer.choices[0].message.parsed == Point(x=1, y=2)


async def test_any_object_can_be_asked_for(gpt: Any, model: ScriptedModel) -> None:
    """`json_object` is a schema for models that have no option for it."""
    model.scripts = [Script(chunks=('{"a": 1}',))]
    answer = await gpt.chat.completions.create(**ASKED, response_format={"type": "json_object"})

    assert answer.choices[0].message.content == '{"a": 1}'
    assert model.calls[0].schema == {"type": "object"}


async def test_images_are_inline(gpt: Any, model: ScriptedModel) -> None:
    """A data URL is an attachment with its bytes and type; texts are one."""
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "text", "text": "Be brief."},
    ]
    await gpt.chat.completions.create(
        model="scripted", messages=[{"role": "user", "content": content}]
    )

    text, attachment = model.calls[0].messages[0].parts
    assert text.text == "What is this?\nBe brief."
    assert attachment.attachment.content == b"\x89PNG"
    assert attachment.attachment.type == "image/png"


async def test_an_answer_can_be_sent_back(gpt: Any, model: ScriptedModel) -> None:
    """An SDK's message as it is, null fields and reasoning included, is a turn."""
    model.scripts = [Script(reasoning=("Hm.",)), Script()]
    first = await gpt.chat.completions.create(**ASKED)
    message = first.choices[0].message
    await gpt.chat.completions.create(
        model="scripted", messages=[*HELLO, message.model_dump(), *HELLO]
    )

    assert message.reasoning_content == "Hm."
    assert [turn.role for turn in model.calls[1].messages] == ["user", "assistant", "user"]


async def test_calls_of_tools_are_told(gpt: Any, model: ScriptedModel) -> None:
    """What a model calls by itself is not lost."""
    model.scripts = [Script(chunks=(), tool_calls=(("call_1", "add", '{"a": 1}'),))]
    choice = (await gpt.chat.completions.create(**ASKED)).choices[0]

    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls[0].function.arguments == '{"a":1}'


@pytest.mark.parametrize(
    ("word", "reason"),
    [("max_tokens", "length"), ("MAX_TOKENS", "length"), ("end_turn", "stop"), ("STOP", "stop")],
)
async def test_the_end_has_openais_word(
    gpt: Any, model: ScriptedModel, word: str, reason: str
) -> None:
    """Whatever the provider calls it."""
    model.scripts = [Script(finish_reason=word)]
    answer = await gpt.chat.completions.create(**ASKED)

    assert answer.choices[0].finish_reason == reason


async def test_unknown_counts_are_null(gpt: Any, model: ScriptedModel) -> None:
    """A model that does not count costs nobody knows what, not nothing."""
    model.scripts = [Script(usage=None)]

    assert (await gpt.chat.completions.create(**ASKED)).usage is None


async def test_leaving_cancels(gpt: Any, model: ScriptedModel) -> None:
    """A client that hangs up while it waits ends the call of the model."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    asking = asyncio.create_task(gpt.chat.completions.create(**ASKED))
    await until(lambda: model.calls and model.calls[0].said == 1)
    asking.cancel()
    await until(model.calls[0].closed.is_set)

    assert (await asyncio.gather(asking, return_exceptions=True))[0] is not None


async def test_a_failed_run_raises(gpt: Any, model: ScriptedModel) -> None:
    """What failed in mid-answer is an error with a status, not a part of an answer."""
    model.scripts = [Script(fault=Fault(at=2, error=ConnectionError("reset")))]
    with pytest.raises(openai.InternalServerError) as raised:
        await gpt.chat.completions.create(**ASKED)

    assert (raised.value.status_code, raised.value.code) == (502, "upstream_failed")


async def test_a_cancelled_run_raises(
    gpt: Any, service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Somebody else ends the run: a 409, which the SDK is told not to repeat."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    asking = asyncio.create_task(gpt.chat.completions.create(**ASKED))
    await until(lambda: model.calls and model.calls[0].said == 1)
    run = next(iter(service.parts.registry.newest()))
    async with http.post(f"{service.url}/v1/runs/{run.id}/cancel") as response:
        assert response.status == 200
    with pytest.raises(openai.ConflictError) as raised:
        await asking

    assert raised.value.code == "run_cancelled"
    assert raised.value.response.headers["x-should-retry"] == "false"


async def test_models_are_listed(gpt: Any) -> None:
    """The SDK lists models, and retrieves one by id or alias."""
    listed = [model.id async for model in gpt.models.list()]

    assert "scripted" in listed
    assert (await gpt.models.retrieve("fast")).id == "scripted"
    with pytest.raises(openai.NotFoundError):
        await gpt.models.retrieve("nobody")
