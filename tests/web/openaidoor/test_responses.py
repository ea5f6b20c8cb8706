"""Responses, read by OpenAI's SDK: whole, streamed, resumed, in the background."""

from typing import Any

import aiohttp
import openai
import pydantic
import pytest

from llm_stream.errors import UpstreamRejected
from llm_stream.events import kind_of
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ...conftest import StartService
from ...wire import ended, until
from .conftest import client_of

ASKED: dict[str, Any] = {"model": "scripted", "input": "Say hello."}
STALL = Script(chunks=words(3), fault=Fault(at=1, stall=True))


class Point(pydantic.BaseModel):
    """What the model is asked for."""

    x: int
    y: int


async def test_a_question_is_answered(gpt: Any, model: ScriptedModel) -> None:
    """Text, thoughts, status and counts; instructions are the system prompt."""
    model.scripts = [Script(reasoning=("Hm.",))]
    answer = await gpt.responses.create(**ASKED, instructions="Be short.", max_output_tokens=9)

    assert answer.output_text == "Hello, world."
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.output[0].summary[0].text == "Hm."
    assert (answer.status, answer.usage.total_tokens) == ("completed", 7)
    assert model.calls[0].system == "Be short."
    assert model.calls[0].options == {"max_tokens": 9}


async def test_the_same_question_to_both_is_asked_once(gpt: Any, model: ScriptedModel) -> None:
    """A response and a chat completion share their answer."""
    await gpt.chat.completions.create(
        model="scripted", messages=[{"role": "user", "content": "Say hello."}]
    )
    raw = await gpt.responses.with_raw_response.create(**ASKED)

    assert "hit" in raw.headers["Cache-Status"]
    assert len(model.calls) == 1


async def test_an_answer_is_parsed(gpt: Any, model: ScriptedModel) -> None:
    """A schema reaches the model, and what comes is the SDK's own object."""
    model.scripts = [Script(chunks=('{"x": 1,', ' "y": 2}'))]
    answer = await gpt.responses.parse(**ASKED, text_format=Point)

    assert answer.output_parsed == Point(x=1, y=2)
    assert model.calls[0].schema["required"] == ["x", "y"]


async def test_a_streamed_answer_is_parsed(gpt: Any, model: ScriptedModel) -> None:
    """By the SDK's helper; it goes back as it is, with what the SDK has parsed."""
    model.scripts = [Script(chunks=('{"x": 1,', ' "y": 2}'))]
    async with gpt.responses.stream(**ASKED, text_format=Point) as stream:
        answer = await stream.get_final_response()
    assert answer.output_parsed == Point(x=1, y=2)

    items = [item.model_dump() for item in answer.output]
    await gpt.responses.create(
        model="scripted", input=[*items, {"role": "user", "content": "And?"}]
    )
    assert model.calls[1].messages[0].parts[0].text == '{"x": 1, "y": 2}'


async def test_an_answer_can_be_sent_back(gpt: Any, model: ScriptedModel) -> None:
    """Items of an answer are items of the next question; thoughts go to no model."""
    model.scripts = [Script(reasoning=("Hm.",)), Script()]
    question = {"role": "user", "content": "Say hello."}
    first = await gpt.responses.create(model="scripted", input=[question])
    said = [item.model_dump() for item in first.output]
    await gpt.responses.create(model="scripted", input=[question, *said, question])

    assert [turn.role for turn in model.calls[1].messages] == ["user", "assistant", "user"]


async def test_a_cut_answer_is_incomplete(gpt: Any, model: ScriptedModel) -> None:
    """An answer that ran out of tokens says so, whole and streamed."""
    model.scripts = [Script(finish_reason="max_tokens")]
    answer = await gpt.responses.create(**ASKED)
    events = [event async for event in await gpt.responses.create(**ASKED, stream=True)]

    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert events[-1].type == "response.incomplete"


async def test_events_are_numbered_without_a_hole(gpt: Any, model: ScriptedModel) -> None:
    """From its creation to its end, each item opened and closed."""
    model.scripts = [Script(reasoning=("Hm.",), chunks=("Hello.",))]
    events = [event async for event in await gpt.responses.create(**ASKED, stream=True)]

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


async def test_the_sdk_puts_it_together(gpt: Any) -> None:
    """Its own helper has the same answer as one that was not streamed."""
    async with gpt.responses.stream(**ASKED) as stream:
        streamed = await stream.get_final_response()
    whole = await gpt.responses.retrieve(streamed.id)

    assert streamed.output_text == "Hello, world."
    assert (
        whole.model_dump(exclude={"parsed"})["output"][0]["content"][0]["text"] == "Hello, world."
    )
    assert [item.id for item in whole.output] == [item.id for item in streamed.output]


async def test_a_stream_is_resumed(gpt: Any, model: ScriptedModel) -> None:
    """A reader who left comes back behind its last event, and misses and repeats none."""
    stream = await gpt.responses.create(**ASKED, stream=True)
    first = [await anext(stream) for _ in range(5)]
    await stream.close()
    rest = await gpt.responses.retrieve(
        first[0].response.id, stream=True, starting_after=first[-1].sequence_number
    )
    events = first + [event async for event in rest]

    assert [event.sequence_number for event in events] == list(range(len(events)))
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(said) == "Hello, world."
    assert events[-1].type == "response.completed"
    assert len(model.calls) == 1


async def test_a_failure_in_mid_stream_raises(gpt: Any, model: ScriptedModel) -> None:
    """`response.failed` tells it to who looks, and the SDK raises."""
    model.scripts = [Script(fault=Fault(at=2, error=ConnectionError("reset")))]
    events: list[Any] = []
    with pytest.raises(openai.APIError) as raised:
        async for event in await gpt.responses.create(**ASKED, stream=True):
            events.append(event)

    assert raised.value.code == "upstream_failed"
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.code == "upstream_failed"


async def test_a_failed_response_raises(gpt: Any, model: ScriptedModel) -> None:
    """What was not streamed is an error with a status; looked at later it is a failed response."""
    model.scripts = [Script(fault=Fault(at=2, error=ConnectionError("reset")))]
    with pytest.raises(openai.InternalServerError) as raised:
        await gpt.responses.create(**ASKED)
    run = raised.value.response.headers["X-Run-Id"]
    failed = await gpt.responses.retrieve(run.replace("run_", "resp_"))

    assert (failed.status, failed.error.code) == ("failed", "upstream_failed")


async def test_in_the_background(gpt: Any, service: RunningService, model: ScriptedModel) -> None:
    """The reply does not wait; the response can be looked at, and followed."""
    begun = await gpt.responses.create(**ASKED, background=True)
    run = next(iter(service.parts.registry.newest()))
    await ended(run)
    done = await gpt.responses.retrieve(begun.id)

    assert begun.status == "in_progress"
    assert done.output_text == "Hello, world."


async def test_a_response_is_cancelled(
    gpt: Any, service: RunningService, model: ScriptedModel
) -> None:
    """What nobody reads goes on until it is cancelled; who cancels it is told so at once."""
    model.scripts = [STALL]
    begun = await gpt.responses.create(**ASKED, background=True)
    await until(lambda: model.calls and model.calls[0].said == 1)
    cancelled = await gpt.responses.cancel(begun.id)
    run = next(iter(service.parts.registry.newest()))
    await ended(run)

    assert cancelled.status == "cancelled"
    assert (await gpt.responses.retrieve(begun.id)).status == "cancelled"


@pytest.mark.parametrize("name", ["resp_nobody", "nobody"])
async def test_an_unknown_response(gpt: Any, name: str) -> None:
    """404, in OpenAI's shape."""
    with pytest.raises(openai.NotFoundError) as raised:
        await gpt.responses.retrieve(name)

    assert raised.value.code == "unknown_run"


async def test_other_recipes_are_no_responses(
    gpt: Any, service: RunningService, http: aiohttp.ClientSession
) -> None:
    """A run that was no question to a model is not shown as one."""
    body = {"requests": [{"input": {"prompt": "x"}}]}
    async with http.post(f"{service.url}/v1/batch", json=body) as response:
        run = response.headers["X-Run-Id"]
    with pytest.raises(openai.NotFoundError):
        await gpt.responses.retrieve(run.replace("run_", "resp_"))


async def test_a_number_that_is_none(gpt: Any) -> None:
    """`starting_after` is a sequence number."""
    answer = await gpt.responses.create(**ASKED)
    with pytest.raises(openai.BadRequestError) as raised:
        await gpt.responses.retrieve(answer.id, stream=True, starting_after=-7)

    assert raised.value.param == "starting_after"


async def test_calls_of_tools_are_items(gpt: Any, model: ScriptedModel) -> None:
    """What a model calls by itself is not lost, whole or streamed, behind what it said."""
    call = ("call_1", "add", '{"a": 1}')
    model.scripts = [Script(chunks=("Well.",), tool_calls=(call,))]
    async with gpt.responses.stream(**ASKED) as stream:
        streamed = await stream.get_final_response()
    whole = await gpt.responses.create(**ASKED)

    for answer in (streamed, whole):
        assert [item.type for item in answer.output] == ["message", "function_call"]
        assert answer.output[1].arguments == '{"a":1}'
        assert answer.output[1].call_id == "call_1"


async def test_an_empty_answer_is_an_answer(gpt: Any, model: ScriptedModel) -> None:
    """Nothing said is a message without text."""
    model.scripts = [Script(chunks=())]
    async with gpt.responses.stream(**ASKED) as stream:
        streamed = await stream.get_final_response()
    whole = await gpt.responses.create(**ASKED)

    assert [item.type for item in streamed.output] == ["message"]
    assert streamed.output_text == whole.output_text == ""


async def test_what_was_sent_is_not_taken_back(gpt: Any, model: ScriptedModel) -> None:
    """An answer that has to be begun anew is an error in a stream, and an answer without one."""
    form = {"format": {"type": "json_schema", "name": "p", "schema": Point.model_json_schema()}}
    faulty, good = Script(chunks=('{"x": 1}',)), Script(chunks=('{"x": 1, "y": 2}',))
    model.scripts = [faulty, good, faulty, good]
    with pytest.raises(openai.APIError, match="begun anew"):
        async for _ in await gpt.responses.create(**ASKED, stream=True, text=form):
            pass
    await until(lambda: len(model.calls) == 2 and model.calls[1].closed.is_set())
    whole = await gpt.responses.create(**ASKED, text=form, extra_body={"cache": {"mode": "bypass"}})

    assert whole.output_text == '{"x": 1, "y": 2}'


async def test_a_cancelled_stream_raises(gpt: Any, model: ScriptedModel) -> None:
    """Somebody else ends the run: the stream is not whole, and says so."""
    model.scripts = [STALL]
    stream = await gpt.responses.create(**ASKED, stream=True)
    begun = await anext(stream)
    await gpt.responses.cancel(begun.response.id)
    with pytest.raises(openai.APIError) as raised:
        async for _ in stream:
            pass

    assert raised.value.code == "run_cancelled"


async def test_a_response_that_is_not_done(
    gpt: Any, service: RunningService, model: ScriptedModel
) -> None:
    """Has what has come, in a message that is not done either."""
    model.scripts = [Script(chunks=("Hello", "."), fault=Fault(at=1, stall=True))]
    begun = await gpt.responses.create(**ASKED, background=True)
    run = service.parts.registry.find(begun.id.replace("resp_", "run_"))
    await until(lambda: any(kind_of(event) == "text.delta" for event in run.events()))
    seen = await gpt.responses.retrieve(begun.id)

    assert (seen.status, seen.output[0].status) == ("in_progress", "in_progress")
    assert seen.output_text == "Hello"


async def test_the_model_that_answers_is_named(
    start_service: StartService, model: ScriptedModel
) -> None:
    """A fallback's answer has its name, streamed and not."""
    service = await start_service(ScriptedModel("other"))
    model.scripts = [Script(fault=Fault(error=UpstreamRejected("no")))]
    asked = {**ASKED, "extra_body": {"fallback_models": ["other"], "cache": {"mode": "bypass"}}}
    async with client_of(service) as gpt:
        events = [event async for event in await gpt.responses.create(**asked, stream=True)]
        whole = await gpt.responses.create(**asked)

    assert events[-1].response.model == whole.model == "other"


async def test_a_resumed_stream_is_counted(gpt: Any, service: RunningService) -> None:
    """As every other reader that comes back behind a cursor."""
    answer = await gpt.responses.create(**ASKED)
    async for _ in await gpt.responses.retrieve(answer.id, stream=True):
        pass
    async for _ in await gpt.responses.retrieve(answer.id, stream=True, starting_after=3):
        pass
    counted = service.parts.metrics.registry.get_sample_value("llm_stream_resumes_total")

    assert counted == 1
