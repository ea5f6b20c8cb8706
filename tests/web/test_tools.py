"""Tools of POST /v1/generate: declared, called, answered; the caller runs them."""

from typing import Any

import aiohttp
import pytest

from llm_stream.testing import Script, ScriptedModel
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..wire import WsClient

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA}
NOW = {"name": "now"}
CALLED = Script(
    chunks=(), tool_calls=(("c1", "weather", '{"city":"Oslo"}'),), finish_reason="tool_calls"
)
CALL: dict[str, Any] = {"tool_call_id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}
QUESTION: dict[str, Any] = {"role": "user", "content": "Rain?"}
SAID: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT: dict[str, Any] = {"role": "tool", "content": "No.", "tool_call_id": "c1"}


async def generate(
    service: RunningService, http: aiohttp.ClientSession, **body: Any
) -> tuple[int, Any]:
    """Status and body of an answer in one piece."""
    async with http.post(f"{service.url}/v1/generate", json=body) as reply:
        return reply.status, await reply.json(content_type=None)


async def test_a_whole_round(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The model calls, and answers when it has the result; calls go back as they came."""
    model.scripts = [CALLED, Script()]
    status, first = await generate(service, http, messages=[QUESTION], tools=[WEATHER])
    assert (status, first["tool_calls"], first["text"]) == (200, [CALL], "")
    assert first["finish_reason"] == "tool_calls"

    said = {"role": "assistant", "content": first["text"], "tool_calls": first["tool_calls"]}
    turns = [QUESTION, said, RESULT]
    status, second = await generate(service, http, messages=turns, tools=[WEATHER])

    assert (status, second["text"]) == (200, "Hello, world.")
    assert [tool.input_schema for tool in model.calls[0].tools] == [SCHEMA]
    assert [message.role for message in model.calls[1].messages] == ["user", "assistant", "tool"]
    (result,) = model.calls[1].messages[2].parts
    assert (result.name, result.output, result.tool_call_id) == ("weather", "No.", "c1")


async def test_the_socket_takes_tools_as_well(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Its input is the same body, and the call is an event."""
    model.scripts = [CALLED]
    client = await WsClient.connect(http, service.url)
    body = {"prompt": "Rain?", "tools": [WEATHER], "tool_choice": {"name": "weather"}}
    await client.ask(type="start", id="1", stream="a", recipe="generate", input=body)
    events = await client.end_of("a")

    assert any(b'"type":"tool.called","tool_call_id":"c1"' in event for event in events)
    assert model.calls[0].tools[0].use.named == "weather"
    await client.ws.close()


async def test_tools_are_a_part_of_the_question(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """An answer with them is none without; that they may be used in parallel is the default."""
    asked: dict[str, Any] = {"prompt": "Rain?", "tools": [WEATHER]}
    default = {"tool_choice": "auto", "parallel_tool_calls": True}
    hits = []
    for body in (asked, asked | default, asked | {"tool_choice": "none"}, {"prompt": "Rain?"}):
        _, answer = await generate(service, http, **body)
        hits.append(answer["cached"])

    assert hits == [False, True, False, False]
    assert len(model.calls) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tools": [{"name": "a b"}]}, "tools.0.name"),
        ({"tools": [NOW, NOW]}, "tools.1.name"),
        ({"tools": [NOW | {"parameters": {"type": "?"}}]}, "tools.0.parameters"),
        ({"tools": [NOW | {"parameters": {"type": "array"}}]}, "tools.0.parameters"),
        ({"tools": [NOW | {"parameters": {"title": "x" * 600_000}}]}, "tools"),
        ({"tools": [NOW | {"type": "web_search"}]}, "tools.0.type"),
        ({"tools": [NOW], "tool_choice": {"name": "then"}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"name": "now"}}, "tool_choice"),
        ({"messages": [QUESTION, SAID]}, "messages.1.role"),
        ({"messages": [QUESTION, SAID, QUESTION]}, "messages.2.role"),
        ({"messages": [QUESTION, RESULT]}, "messages.1.tool_call_id"),
        ({"messages": [QUESTION, SAID, RESULT, RESULT]}, "messages.3.tool_call_id"),
        ({"messages": [QUESTION, SAID, {"role": "tool", "content": "No."}]},
         "messages.2.tool_call_id"),
        ({"messages": [QUESTION, SAID | {"tool_calls": [CALL, CALL]}, RESULT]},
         "messages.1.tool_calls.1.tool_call_id"),
        ({"messages": [QUESTION, SAID | {"tool_calls": [CALL, CALL | {"tool_call_id": "c2"}]},
                       RESULT]}, "messages.2"),
        ({"messages": [QUESTION | {"tool_calls": [CALL]}]}, "messages.0.tool_calls"),
        ({"messages": [QUESTION | {"tool_call_id": "c1"}]}, "messages.0.tool_call_id"),
        ({"messages": [QUESTION, SAID | {"tool_calls": [
            CALL | {"provider_metadata": {"thoughts": ["x"]}}]}, RESULT]},
         "messages.1.tool_calls.0.provider_metadata"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_cannot_be_is_named(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel,
    body: dict[str, Any], field: str,
) -> None:  # fmt: skip
    """Before anything is sent to a model."""
    asked = body if "messages" in body else body | {"prompt": "Rain?"}
    status, problem = await generate(service, http, **asked)

    assert (status, problem["field"]) in {(400, field), (413, field)}
    assert model.calls == []


async def test_a_model_without_tools_refuses_them(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """By the field; so does a fallback, for it may have to answer."""
    plain = ScriptedModel("plain")
    plain.supports_tools = False
    service = await start_service(plain)

    for names in ({"model": "plain"}, {"fallback_models": ["plain"]}):
        status, problem = await generate(service, http, prompt="?", tools=[NOW], **names)
        assert (status, problem["code"], problem["field"]) == (400, "unsupported_by_model", "tools")
        assert "plain" in problem["detail"]


async def test_what_a_provider_keeps_with_a_call_is_told(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """It comes with the call, and reaches the model again when it is sent back."""
    kept = {"gemini": {"thoughtSignature": "x"}}
    said = SAID | {"tool_calls": [CALL | {"provider_metadata": kept}]}
    status, _ = await generate(service, http, messages=[QUESTION, said, RESULT])

    assert status == 200
    assert model.calls[0].messages[1].parts[0].provider_metadata == kept
