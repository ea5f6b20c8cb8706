"""The mocks speak truly: the official SDKs of OpenAI and Anthropic are content with them."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest

from llm_stream.testing.mockproviders import MockProviders

from .rawhttp import HELLO

KEY = "sk-abcdefgijkl"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
ARGUMENTS = '{"city":"value","days":3}'


@pytest.fixture
async def gpt(mocks: MockProviders) -> AsyncIterator[Any]:
    """OpenAI's client; untyped, since requests here are plain dicts."""
    async with openai.AsyncOpenAI(api_key=KEY, base_url=mocks.openai_url, max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(mocks: MockProviders) -> AsyncIterator[Any]:
    """Anthropic's client."""
    async with anthropic.AsyncAnthropic(
        api_key=KEY, base_url=mocks.anthropic_url, max_retries=0
    ) as client:
        yield client


async def test_chat_says_the_same_streamed_and_plain(gpt: Any) -> None:
    """Chat completions: text, usage and finish reason do not depend on streaming."""
    asked = {"model": "mock", "messages": HELLO}
    plain = await gpt.chat.completions.create(**asked)
    chunks = [
        chunk
        async for chunk in await gpt.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}
        )
    ]

    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(c.delta.content or "" for c in choices) == plain.choices[0].message.content
    assert choices[-1].finish_reason == plain.choices[0].finish_reason == "stop"
    assert chunks[-1].usage == plain.usage
    assert {chunk.id for chunk in chunks} == {plain.id}


async def test_chat_calls_a_tool(gpt: Any) -> None:
    """Chat completions: the SDK's accumulator makes a whole tool call of the stream."""
    tool = {"type": "function", "function": {"name": "travel", "parameters": SCHEMA}}
    async with gpt.chat.completions.stream(model="mock", messages=HELLO, tools=[tool]) as stream:
        final = await stream.get_final_completion()

    (call,) = final.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("travel", ARGUMENTS)
    assert final.choices[0].finish_reason == "tool_calls"


async def test_chat_meets_a_schema(gpt: Any) -> None:
    """Chat completions: with a JSON Schema the text is a value of it."""
    form = {"type": "json_schema", "json_schema": {"name": "trip", "schema": SCHEMA}}
    answer = await gpt.chat.completions.create(model="mock", messages=HELLO, response_format=form)

    assert answer.choices[0].message.content == ARGUMENTS


async def test_responses_say_the_same_streamed_and_plain(gpt: Any) -> None:
    """Responses: the SDK's accumulator rebuilds the plain response, reasoning and all."""
    asked = {"model": "mock", "input": "hello", "reasoning": {"summary": "auto"}}
    plain = await gpt.responses.create(**asked)
    async with gpt.responses.stream(**asked) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()

    assert final.output_text == plain.output_text != ""
    assert final.output[0].summary == plain.output[0].summary
    assert (final.status, final.usage) == ("completed", plain.usage)
    assert "response.reasoning_summary_text.delta" in kinds


async def test_responses_call_a_tool(gpt: Any) -> None:
    """Responses: a function call is an item of the output."""
    tool = {"type": "function", "name": "travel", "parameters": SCHEMA, "strict": True}
    async with gpt.responses.stream(model="mock", input="hello", tools=[tool]) as stream:
        final = await stream.get_final_response()

    (call,) = final.output
    assert (call.type, call.name, call.arguments) == ("function_call", "travel", ARGUMENTS)


async def test_responses_that_are_too_long_are_incomplete(gpt: Any) -> None:
    """Responses: with `length` the response is incomplete, and says why."""
    answer = await gpt.responses.create(model="mock-length", input="hello")

    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"


async def test_messages_say_the_same_streamed_and_plain(claude: Any) -> None:
    """Anthropic: the SDK's accumulator makes the plain message of the stream, thinking and all."""
    asked = {
        "model": "mock",
        "max_tokens": 2048,
        "messages": HELLO,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    plain = await claude.messages.create(**asked)
    async with claude.messages.stream(**asked) as stream:
        final = await stream.get_final_message()

    assert [block.type for block in final.content] == ["thinking", "text"]
    said = [block.model_dump(exclude_none=True) for block in plain.content]
    assert [block.to_dict() for block in final.content] == said
    assert (final.id, final.stop_reason) == (plain.id, "end_turn")
    assert final.usage.output_tokens == plain.usage.output_tokens


async def test_messages_call_a_tool(claude: Any) -> None:
    """Anthropic: a tool call is a block of the content, its input whole."""
    tool = {"name": "travel", "input_schema": SCHEMA}
    async with claude.messages.stream(
        model="mock", max_tokens=100, messages=HELLO, tools=[tool]
    ) as stream:
        final = await stream.get_final_message()

    (call,) = final.content
    assert (call.name, call.input) == ("travel", {"city": "value", "days": 3})
    assert final.stop_reason == "tool_use"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "InternalServerError"),
    ],
)
async def test_errors_are_the_sdks_own(gpt: Any, claude: Any, status: int, error: str) -> None:
    """Every status becomes the SDKs' error for it, with the provider's words and a request id."""
    name = f"mock-{status}"
    with pytest.raises(openai.APIStatusError) as of_openai:
        await gpt.chat.completions.create(model=name, messages=HELLO)
    with pytest.raises(anthropic.APIStatusError) as of_anthropic:
        await claude.messages.create(model=name, max_tokens=9, messages=HELLO)

    for raised in (of_openai.value, of_anthropic.value):
        assert isinstance(raised, (openai.APIStatusError, anthropic.APIStatusError))
        assert raised.request_id
        assert f"status {status}" in raised.message
    assert isinstance(of_openai.value, getattr(openai, error))
    assert isinstance(of_anthropic.value, getattr(anthropic, error))


async def test_errors_in_a_stream(gpt: Any, claude: Any) -> None:
    """An error event in mid-stream is an error of the SDKs."""
    with pytest.raises(openai.APIError):
        async for _ in await gpt.chat.completions.create(
            model="mock-error-3", messages=HELLO, stream=True
        ):
            pass
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        async for _ in await claude.messages.create(
            model="mock-error-3", max_tokens=9, messages=HELLO, stream=True
        ):
            pass


async def test_sdks_retry_as_they_are_told(mocks: MockProviders) -> None:
    """An SDK with retries on gets its answer after the refusals, on one connection."""
    async with openai.AsyncOpenAI(api_key=KEY, base_url=mocks.openai_url, max_retries=2) as client:
        asked: Any = {"model": "mock-429-2-afterms-1", "messages": HELLO}
        await client.chat.completions.create(**asked)

    assert [request.status for request in mocks.requests] == [429, 429, 200]
    assert mocks.connections == 1


async def test_models_are_listed(gpt: Any, claude: Any) -> None:
    """Both SDKs can read the list of models."""
    assert [model.id async for model in gpt.models.list()] == ["mock"]
    assert [model.id async for model in claude.models.list()] == ["mock"]


async def test_a_wrong_key_is_refused(mocks: MockProviders) -> None:
    """A key with `invalid` in it is none, for both SDKs."""
    of_openai = openai.AsyncOpenAI(api_key="sk-invalid", base_url=mocks.openai_url)
    of_anthropic = anthropic.AsyncAnthropic(api_key="sk-invalid", base_url=mocks.anthropic_url)
    async with of_openai, of_anthropic:
        with pytest.raises(openai.AuthenticationError):
            await of_openai.models.list()
        with pytest.raises(anthropic.AuthenticationError):
            await of_anthropic.models.list()
