"""Tools through OpenAI's SDK: declared, called, and their results sent back."""

import json
from typing import Any

import openai
import pydantic
import pytest

from llm_stream.config import ProviderSection
from llm_stream.testing import Script, ScriptedModel
from llm_stream.testing.mockproviders import MockProviders

from ...conftest import StartService
from .conftest import ASKED, client_of

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA}
CHAT_TOOL: dict[str, Any] = {"type": "function", "function": FUNCTION}
TOOL: dict[str, Any] = {"type": "function", **FUNCTION}
QUESTION: dict[str, Any] = {"role": "user", "content": "Rain in Oslo?"}
ANSWERED = {"city": "Oslo"}
CALLED = Script(
    chunks=("Let me look.",),
    tool_calls=(("c1", "weather", '{"city":"Oslo"}'), ("c2", "weather", '{"city":"Bergen"}')),
    finish_reason="tool_use",
)
CHAT_CALL: dict[str, Any] = {
    "id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"},
}  # fmt: skip
CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "No."}


async def chat(gpt: Any, *, streamed: bool, **asked: Any) -> Any:
    """The SDK's completion, put together of chunks if it streams."""
    if not streamed:
        return await gpt.chat.completions.create(**asked)
    async with gpt.chat.completions.stream(**asked) as stream:
        return await stream.get_final_completion()


async def respond(gpt: Any, *, streamed: bool, **asked: Any) -> Any:
    """The SDK's response, put together of events if it streams."""
    if not streamed:
        return await gpt.responses.create(**asked)
    async with gpt.responses.stream(**asked) as stream:
        return await stream.get_final_response()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_chat_with_tools(gpt: Any, model: ScriptedModel, streamed: bool) -> None:
    """The SDK's own message goes back as it is, with a result for each call."""
    model.scripts = [CALLED, Script()]
    asked: dict[str, Any] = {"model": "scripted", "tools": [CHAT_TOOL]}
    first = await chat(gpt, streamed=streamed, messages=[QUESTION], **asked)
    choice = first.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look.")
    calls = choice.message.tool_calls
    assert [(call.id, json.loads(call.function.arguments)) for call in calls] == [
        ("c1", ANSWERED), ("c2", {"city": "Bergen"}),
    ]  # fmt: skip

    results = [
        {"role": "tool", "tool_call_id": call.id, "name": "weather", "content": "No."}
        for call in calls
    ]
    messages = [QUESTION, choice.message, *results]
    second = await chat(gpt, streamed=streamed, messages=messages, **asked)

    assert second.choices[0].message.content == "Hello, world."
    assert model.calls[0].tools[0].input_schema == SCHEMA
    assert [message.role for message in model.calls[1].messages] == ["user", "assistant", "tool"]
    parts = model.calls[1].messages[2].parts
    assert [(part.name, part.tool_call_id, part.output) for part in parts] == [
        ("weather", "c1", "No."), ("weather", "c2", "No."),
    ]  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_response_with_tools(gpt: Any, model: ScriptedModel, streamed: bool) -> None:
    """Items of an answer go back as they are; its text and calls are one turn."""
    model.scripts = [CALLED, Script()]
    asked: dict[str, Any] = {"model": "scripted", "tools": [TOOL]}
    first = await respond(gpt, streamed=streamed, input=[QUESTION], **asked)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [(call.call_id, json.loads(call.arguments)) for call in calls] == [
        ("c1", ANSWERED), ("c2", {"city": "Bergen"}),
    ]  # fmt: skip
    assert first.status == "completed"

    results = [RESULT | {"call_id": call.call_id} for call in calls]
    items = [QUESTION, *[item.model_dump() for item in first.output], *results]
    second = await respond(gpt, streamed=streamed, input=items, **asked)

    assert second.output_text == "Hello, world."
    assert [message.role for message in model.calls[1].messages] == ["user", "assistant", "tool"]
    said = model.calls[1].messages[1].parts
    assert [part.to_dict()["type"] for part in said] == ["text", "tool_call", "tool_call"]


SIGNED = {"anthropic": b'"signature":"Eq', "gemini": b'"thoughtSignature":'}
"""What the second question has that was not told as text."""


@pytest.mark.parametrize("wire", ["openai", "openai_responses", "anthropic", "gemini"])
async def test_a_round_against_a_provider(
    start_service: StartService, mocks: MockProviders, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it speaks; through both calls of the SDK, streamed and not."""
    monkeypatch.setenv("ANY_KEY", "sk-any")
    kind = {"openai": mocks.openai_url, "openai_responses": mocks.openai_url,
            "anthropic": mocks.anthropic_url, "gemini": mocks.gemini_url}  # fmt: skip
    mock = ProviderSection(kind=wire, base_url=kind[wire], api_key_env=("ANY_KEY",))  # type: ignore[arg-type]
    service = await start_service(providers={"mock": mock})
    model = "mock/mock-think"
    async with client_of(service) as gpt:
        for streamed in (False, True):
            asked: dict[str, Any] = {"model": model, "tools": [CHAT_TOOL], "streamed": streamed}
            asked["extra_body"] = {"cache": {"mode": "bypass"}}
            first = (await chat(gpt, messages=[QUESTION], **asked)).choices[0].message
            result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "No."}
            second = await chat(gpt, messages=[QUESTION, first, result], **asked)
            assert second.choices[0].message.content
            assert second.choices[0].finish_reason == "stop"

            asked["tools"] = [TOOL]
            items = (await respond(gpt, input=[QUESTION], **asked)).output
            (call,) = [item for item in items if item.type == "function_call"]
            result = RESULT | {"call_id": call.call_id}
            sent = [QUESTION, *[item.model_dump() for item in items], result]
            assert (await respond(gpt, input=sent, **asked)).output_text
    assert len(mocks.requests) == 8
    if wire in SIGNED:
        assert all(SIGNED[wire] in request.content for request in mocks.requests[1::2])


@pytest.mark.parametrize(
    ("said", "use"),
    [
        ({}, ("auto", "", True)),
        ({"tool_choice": "none"}, ("none", "", True)),
        ({"tool_choice": "required", "parallel_tool_calls": True}, ("required", "", True)),
        ({"tool_choice": "named", "parallel_tool_calls": False}, ("required", "weather", False)),
    ],
)
async def test_how_tools_may_be_called(
    gpt: Any, model: ScriptedModel, said: dict[str, Any], use: tuple[Any, ...]
) -> None:
    """Both calls say it, each in its words."""
    named = said.get("tool_choice") == "named"
    chosen = {"tool_choice": {"type": "function", "function": {"name": "weather"}}}
    await gpt.chat.completions.create(
        **ASKED, tools=[CHAT_TOOL], **said | (chosen if named else {})
    )
    told = {"tool_choice": {"type": "function", "name": "weather"}}
    await gpt.responses.create(
        model="scripted", input="Rain?", tools=[TOOL], **said | (told if named else {})
    )

    for call in model.calls:
        kept = call.tools[0].use
        assert (kept.choice, kept.named, kept.parallel) == use
    assert len(model.calls) == 2


class Weather(pydantic.BaseModel):
    """Tells the weather."""

    city: str


async def test_the_sdk_parses_arguments(gpt: Any, model: ScriptedModel) -> None:
    """Its tools made of classes are strict, and the service holds the arguments against them."""
    model.scripts = [CALLED, Script(chunks=(), tool_calls=(("c1", "Weather", '{"town":1}'),))]
    tools = [openai.pydantic_function_tool(Weather, name="weather")]
    answer = await gpt.chat.completions.parse(**ASKED, tools=tools)
    message = answer.choices[0].message
    assert message.tool_calls[0].function.parsed_arguments == Weather(city="Oslo")

    with pytest.raises(openai.APIStatusError) as raised:
        await gpt.chat.completions.parse(**ASKED, tools=[openai.pydantic_function_tool(Weather)])
    assert raised.value.code == "invalid_output"

    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "No."} for call in message.tool_calls
    ]
    model.scripts = [Script()]
    sent = [QUESTION, message, *results]
    assert await gpt.chat.completions.create(model="scripted", messages=sent, tools=tools)


async def test_a_schema_and_tools_at_once(gpt: Any, model: ScriptedModel) -> None:
    """A call is no answer yet; the answer is parsed when it comes."""
    model.scripts = [
        Script(chunks=(), tool_calls=(("c1", "weather", '{"city":"Oslo"}'),)),
        Script(chunks=('{"city":"Oslo"}',)),
    ]
    tools = [openai.pydantic_function_tool(Weather, name="weather")]
    asked: dict[str, Any] = {"model": "scripted", "tools": tools, "response_format": Weather}
    first = (await gpt.chat.completions.parse(messages=[QUESTION], **asked)).choices[0].message
    assert (first.content, first.tool_calls[0].id) == (None, "c1")

    result = {"role": "tool", "tool_call_id": "c1", "content": "No."}
    second = await gpt.chat.completions.parse(messages=[QUESTION, first, result], **asked)
    assert second.choices[0].message.parsed == Weather(city="Oslo")


CHAT_SAID = {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]}
CHAT_RESULT = {"role": "tool", "tool_call_id": "c1", "content": "No."}
CUSTOM = {"type": "custom", "custom": {"name": "x"}}


def with_function(**change: Any) -> dict[str, Any]:
    """A declaration of a chat completion's, changed."""
    return {"tools": [{"type": "function", "function": FUNCTION | change}]}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        (with_function(name="a b"), "tools.0.function.name"),
        (with_function(parameters={"type": "?"}), "tools.0.function.parameters"),
        ({"tools": [CUSTOM]}, "tools.0.type"),
        ({"tools": [CHAT_TOOL, CHAT_TOOL]}, "tools.1.function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [CHAT_TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
         "tool_choice"),
        ({"messages": [QUESTION, CHAT_SAID]}, "messages.1.role"),
        ({"messages": [QUESTION, CHAT_RESULT]}, "messages.1.tool_call_id"),
        ({"messages": [QUESTION, CHAT_SAID, {"role": "tool", "content": "x"}]},
         "messages.2.tool_call_id"),
        ({"messages": [QUESTION, CHAT_SAID | {"tool_calls": [CHAT_CALL, CHAT_CALL]}, CHAT_RESULT]},
         "messages.1.tool_calls.1.id"),
        ({"messages": [QUESTION, CHAT_SAID | {"tool_calls": [CHAT_CALL | {
            "function": {"name": "f", "arguments": "{"}}]}, CHAT_RESULT]},
         "messages.1.tool_calls.0.function.arguments"),
        ({"messages": [QUESTION, CHAT_SAID | {"tool_calls": [CHAT_CALL | {
            "extra_content": {"thoughts": 1}}]}, CHAT_RESULT]},
         "messages.1.tool_calls.0.extra_content"),
        ({"messages": [QUESTION | {"tool_calls": [CHAT_CALL]}]}, "messages.0.tool_calls"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_a_chat_cannot_have_is_named(
    gpt: Any, model: ScriptedModel, asked: dict[str, Any], param: str
) -> None:
    """With the parameter as the caller knows it."""
    with pytest.raises(openai.BadRequestError) as raised:
        await gpt.chat.completions.create(**{**ASKED, **asked})

    assert raised.value.param == param
    assert model.calls == []


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"tools": [TOOL | {"name": "a b"}]}, "tools.0.name"),
        ({"tools": [TOOL | {"parameters": {"type": "?"}}]}, "tools.0.parameters"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"input": [QUESTION, CALL]}, "input.1.role"),
        ({"input": [QUESTION, RESULT]}, "input.1.call_id"),
        ({"input": [QUESTION, CALL, CALL, RESULT]}, "input.2.call_id"),
        ({"input": [QUESTION, CALL | {"arguments": "["}, RESULT]}, "input.1.arguments"),
        ({"input": [QUESTION, CALL | {"extra_content": {"thoughts": 1}}, RESULT]},
         "input.1.extra_content"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_a_response_cannot_have_is_named(
    gpt: Any, model: ScriptedModel, asked: dict[str, Any], param: str
) -> None:
    """The same for /v1/responses."""
    with pytest.raises(openai.BadRequestError) as raised:
        await gpt.responses.create(**{"model": "scripted", "input": "x", **asked})

    assert raised.value.param == param
    assert model.calls == []


async def test_what_a_provider_keeps_with_a_call_goes_round(gpt: Any, model: ScriptedModel) -> None:
    """In the field that Google's own door has for it; the SDK sends it back with its message."""
    kept = {"gemini": {"thoughtSignature": "x"}}
    said = CHAT_SAID | {"tool_calls": [CHAT_CALL | {"extra_content": kept}]}
    await gpt.chat.completions.create(model="scripted", messages=[QUESTION, said, CHAT_RESULT])
    await gpt.responses.create(
        model="scripted", input=[QUESTION, CALL | {"extra_content": kept}, RESULT]
    )

    assert model.calls[0].messages[1].parts[0].provider_metadata == kept
    assert len(model.calls) == 1


async def test_a_long_id_of_a_call_goes_round(gpt: Any, model: ScriptedModel) -> None:
    """Some servers keep signed thoughts in it."""
    call_id = "call_1__thought__" + "x" * 4000
    model.scripts = [Script(chunks=(), tool_calls=((call_id, "weather", "{}"),)), Script()]
    asked: dict[str, Any] = {"model": "scripted", "tools": [TOOL]}
    first = await gpt.responses.create(**asked, input="Rain?")
    result = RESULT | {"call_id": call_id}
    await gpt.responses.create(**asked, input=[result], previous_response_id=first.id)

    assert model.calls[1].messages[2].parts[0].tool_call_id == call_id
    chat = [QUESTION, CHAT_SAID | {"tool_calls": [CHAT_CALL | {"id": call_id}]}]
    sent = CHAT_RESULT | {"tool_call_id": call_id}
    await gpt.chat.completions.create(model="scripted", messages=[*chat, sent])
    assert model.calls[2].messages[2].parts[0].tool_call_id == call_id
