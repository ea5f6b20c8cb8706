from typing import Any

import llm
import pytest
from llm.parts import Message as LlmMessage
from llm.parts import ReasoningPart, ToolCallPart, ToolResultPart

from llm_stream.errors import ContentRefused, InvalidOption, UnsupportedByModel, UpstreamFailed
from llm_stream.models.chunks import Finish, Reasoning
from llm_stream.models.keys import Keyring
from llm_stream.models.toolset import ToolCall
from llm_stream.models.wires.anthropic import ClaudeModel, ClaudeTraits
from llm_stream.models.wires.endpoint import Address, Endpoint, ProviderKey
from llm_stream.models.wires.model import Abilities
from llm_stream.models.wires.options import ClaudeOptions
from llm_stream.models.wires.transport import Transport

from .conftest import MakeAdapter, ask, call
from .fakeserver import FakeProvider, Reply, json_reply
from .samples import ANTHROPIC, sse
from .test_openaichat import PDF, PNG, SCHEMA, TALK, encoded


class PrefillOptions(ClaudeOptions):
    """With what only llm-anthropic's own class has."""

    prefill: str | None = None
    hide_prefill: bool | None = None
    fast: bool | None = None
    count_tokens: bool | None = None


@pytest.fixture
def claude(provider: FakeProvider, transport: Transport) -> Any:
    """Makes models with given traits."""

    def make(**traits: Any) -> ClaudeModel:
        key = ProviderKey(Keyring({}, None), "x", required=False)
        endpoint = Endpoint("x", Address(provider.url), key, transport)
        return ClaudeModel(
            "m", "m", endpoint, Abilities(PrefillOptions), traits=ClaudeTraits(**traits)
        )

    provider.answer(Reply(ANTHROPIC))
    return make


def block(index: int, **start: Any) -> dict[str, Any]:
    """A block begins."""
    return {"type": "content_block_start", "index": index, "content_block": start}


def delta(index: int, **more: Any) -> dict[str, Any]:
    """It goes on."""
    return {"type": "content_block_delta", "index": index, "delta": more}


def stop(reason: Any, **more: Any) -> list[Any]:
    """The message ends."""
    return [
        {"type": "message_delta", "delta": {"stop_reason": reason, **more}},
        {"type": "message_stop"},
    ]


async def test_the_request(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Turns, attachments, options and schema as Anthropic documents them."""
    provider.answer(Reply(ANTHROPIC))
    options = {"temperature": 0.5, "top_k": 3, "stop_sequences": ["x"]}

    await ask(
        wire("anthropic", "claude-x"),
        call(*TALK, options={**options, "max_tokens": 7, "user_id": "u"}, schema=SCHEMA),
    )

    assert provider.last.headers["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in provider.last.headers
    assert provider.last.body == {
        "model": "claude-x",
        "max_tokens": 7,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "One?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Two."}]},
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {
                            "type": "base64",
                            "media_type": "image/png",
                            "data": encoded(PNG),
                        },
                    },
                    {
                        "type": "document",
                        "source": {
                            "type": "base64",
                            "media_type": "application/pdf",
                            "data": encoded(PDF),
                        },
                    },
                    {"type": "text", "text": "Three?"},
                ],
            },
        ],
        "stream": True,
        **options,
        "metadata": {"user_id": "u"},
        "output_config": {
            "format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}
        },
    }


async def test_thoughts_and_tool_calls(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Thinking, its signature, blocks nobody knows, and a call in pieces."""
    events = sse(
        block(0, type="thinking", thinking=""), delta(0, type="thinking_delta", thinking="Hm."),
        delta(0, type="signature_delta", signature="x"),
        block(1, type="redacted_thinking", data=""),
        block(2, type="server_tool_use", id="s", name="web"),
        delta(2, type="input_json_delta", partial_json="{}"),
        block(3, type="tool_use", id="t", name="f", input={}),
        delta(3, type="input_json_delta", partial_json='{"a"'),
        delta(3, type="input_json_delta", partial_json=":1}"), *stop("tool_use"),
    )  # fmt: skip
    provider.answer(Reply([ANTHROPIC[0], *events]))

    *chunks, finish = await ask(wire("anthropic"))

    thoughts = [
        {"text": "Hm.", "provider_metadata": {"anthropic": {"signature": "x"}}},
        {"text": "", "provider_metadata": {"anthropic": {"data": ""}}},
    ]
    assert chunks == [Reasoning("Hm."), ToolCall("t", "f", {"a": 1}, {"thoughts": thoughts})]
    assert isinstance(finish, Finish)
    assert finish.finish_reason == "tool_use"


async def test_older_models_answer_a_schema_by_a_forced_tool(
    wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Its arguments are the answer's text."""
    events = sse(
        block(0, type="tool_use", id="t", name="output_structured_data", input={}),
        delta(0, type="input_json_delta", partial_json='{"name":'),
        delta(0, type="input_json_delta", partial_json='"x"}'),
        *stop("tool_use"),
    )
    provider.answer(Reply([ANTHROPIC[0], *events]))

    chunks = await ask(wire("anthropic", "claude-3-opus"), call(schema=SCHEMA))

    assert chunks[:-1] == ['{"name":', '"x"}']
    body = provider.last.body
    assert body["tools"] == [{"name": "output_structured_data", "input_schema": SCHEMA}]
    assert body["tool_choice"] == {"type": "tool", "name": "output_structured_data"}
    assert body["max_tokens"] == 4096


async def test_a_refusal_says_why(wire: MakeAdapter, provider: FakeProvider) -> None:
    """A 200 that stops with "refusal" is an error of its own."""
    details = {"category": "cyber", "explanation": "Not this."}
    provider.answer(Reply([ANTHROPIC[0], *sse(*stop("refusal", stop_details=details))]))

    with pytest.raises(ContentRefused, match=r"cyber: Not this\."):
        await ask(wire("anthropic"))


async def test_a_stop_reason_alone_is_no_end(wire: MakeAdapter, provider: FakeProvider) -> None:
    """The message has to end as well."""
    provider.answer(Reply(ANTHROPIC[:-1]))

    with pytest.raises(UpstreamFailed, match="broke off"):
        await ask(wire("anthropic"))


async def test_a_reason_that_is_no_text(wire: MakeAdapter, provider: FakeProvider) -> None:
    """It is not in Anthropic's format, and said to be that."""
    provider.answer(Reply([ANTHROPIC[0], *sse(*stop(["end_turn"]))]))

    with pytest.raises(UpstreamFailed, match="not in its format"):
        await ask(wire("anthropic", "claude-x"))


ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("traits", "options", "thinking", "betas"),
    [
        ({"thinks": False}, {"thinking": True}, None, None),
        ({}, {}, None, None),
        ({}, {"thinking": True}, {"type": "enabled", "budget_tokens": 1024}, None),
        ({}, {"thinking": False}, {"type": "disabled"}, None),
        ({"adaptive": True}, {"thinking": True}, ADAPTIVE, None),
        ({"adaptive": True, "by_default": True}, {}, ADAPTIVE, None),
        ({}, {"thinking_effort": "low"}, ADAPTIVE, "effort-2025-11-24"),
        ({}, {"fast": True}, None, "fast-mode-2026-02-01"),
        ({"max_tokens": 64001}, {}, None, "output-128k-2025-02-19"),
        ({"max_tokens": 64001, "adaptive": True}, {}, None, None),
    ],
)  # fmt: skip
async def test_thinking_and_betas(
    traits: Any, options: Any, thinking: Any, betas: Any, claude: Any, provider: FakeProvider
) -> None:
    """Each generation of models is asked for thoughts in its own way."""
    await claude(**traits).prompt("Hi", options=options).text()

    assert provider.last.body.get("thinking") == thinking
    assert provider.last.headers.get("anthropic-beta") == betas


@pytest.mark.parametrize(
    ("traits", "options", "field"),
    [
        ({"always": True}, {"thinking": False}, "options.thinking"),
        ({"adaptive": True}, {"prefill": "{"}, "options.prefill"),
        ({}, {"count_tokens": True}, "options.count_tokens"),
    ],
)
async def test_options_a_model_does_not_take(
    traits: Any, options: Any, field: str, claude: Any, provider: FakeProvider
) -> None:
    """The caller is told which, and nothing is sent."""
    with pytest.raises(InvalidOption) as caught:
        await claude(**traits).prompt("Hi", options=options).text()

    assert caught.value.field == field
    assert provider.requests == []


@pytest.mark.parametrize(("hidden", "text"), [(None, "{Héllo, wörld."), (True, "Héllo, wörld.")])
async def test_a_prefill_begins_the_answer(
    hidden: Any, text: str, claude: Any, provider: FakeProvider
) -> None:
    """The provider goes on from it and does not repeat it."""
    options = {"prefill": "{", "hide_prefill": hidden}

    assert await claude().prompt("Hi", options=options).text() == text
    assert provider.last.body["messages"][-1]["role"] == "assistant"


async def test_caching_marks_the_last_block(claude: Any, provider: FakeProvider) -> None:
    """The provider keeps what stands before the mark."""
    await claude().prompt("Hi", options={"cache": True}).text()

    (message,) = provider.last.body["messages"]
    assert message["content"][-1]["cache_control"] == {"type": "ephemeral"}


async def test_tools_and_their_results(claude: Any, provider: FakeProvider) -> None:
    """A call is the assistant's, its result the user's, as Anthropic wants it."""
    called = LlmMessage("assistant", [ToolCallPart(name="f", arguments={"a": 1}, tool_call_id="c")])
    result = LlmMessage("tool", [ToolResultPart(name="f", output="2", tool_call_id="c")])
    tools = [llm.Tool("f", None, {"type": "object"})]

    await claude().prompt(messages=[llm.user("?"), called, result], tools=tools).text()

    body = provider.last.body
    call_block = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}
    result_block = {"type": "tool_result", "tool_use_id": "c", "content": "2"}
    assert body["messages"][1:] == [
        {"role": "assistant", "content": [call_block]},
        {"role": "user", "content": [result_block]},
    ]
    assert body["tools"] == [{"name": "f", "description": "", "input_schema": {"type": "object"}}]


async def test_signed_thoughts_go_back_with_the_calls(claude: Any, provider: FakeProvider) -> None:
    """With the result of a tool Anthropic gets its own thoughts back, byte for byte, first."""
    events = sse(
        block(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="H"),
        delta(0, type="thinking_delta", thinking="m"),
        delta(0, type="signature_delta", signature="EqX"),
        block(1, type="redacted_thinking", data="Zm9v"),
        block(2, type="text", text="Look:"),
        block(3, type="tool_use", id="t", name="f", input={"a": 1}), *stop("tool_use"),
    )  # fmt: skip
    provider.answer(Reply([ANTHROPIC[0], *events]))
    tools = [llm.Tool("f", None, {"type": "object"})]
    first = claude().prompt("?", tools=tools)
    assert await first.text() == "Look:"
    result = LlmMessage("tool", [ToolResultPart(name="f", output="2", tool_call_id="t")])
    provider.answer(Reply(ANTHROPIC))

    await (
        claude()
        .prompt(messages=[llm.user("?"), *await first.messages(), result], tools=tools)
        .text()
    )

    assert provider.last.body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm", "signature": "EqX"},
        {"type": "redacted_thinking", "data": "Zm9v"},
        {"type": "text", "text": "Look:"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]


async def test_schema_and_tools_at_once(claude: Any, provider: FakeProvider) -> None:
    """Older models answer a schema by a tool, so both cannot be had; newer ones take both."""
    tools = [llm.Tool("f", None, {"type": "object"})]

    with pytest.raises(UnsupportedByModel):
        await claude(structured=False).prompt("Hi", schema=SCHEMA, tools=tools).text()
    await claude().prompt("Hi", schema=SCHEMA, tools=tools).text()

    assert provider.last.body["output_config"]["format"]["type"] == "json_schema"
    assert provider.last.body["tools"][0]["name"] == "f"


async def test_an_answer_in_one_piece(claude: Any, provider: FakeProvider) -> None:
    """A message that is not streamed has the same things in it."""
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "EqX"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]
    usage = {"input_tokens": 9, "output_tokens": 4, "cache_read_input_tokens": 3}
    provider.answer(
        json_reply(
            {"type": "message", "content": content, "stop_reason": "tool_use", "usage": usage}
        )
    )

    response = claude().prompt("Hi", stream=False)

    assert await response.text() == "Hi"
    thought = (await response.messages())[0].parts[0]
    assert thought == ReasoningPart("Hm.", provider_metadata={"anthropic": {"signature": "EqX"}})
    assert (await response.tool_calls())[0].arguments == {"a": 1}
    assert (await response.usage()).details == {"cache_read_input_tokens": 3}
