from base64 import b64encode
from typing import Any

import llm
import pytest
from llm.default_plugins.openai_models import AsyncChat
from llm.parts import Message as LlmMessage
from llm.parts import ToolCallPart, ToolResultPart

from llm_stream.errors import ContentRefused, InvalidOutput, UpstreamFailed
from llm_stream.models.chunks import Attachment, Finish, Message, Reasoning
from llm_stream.models.keys import Keyring
from llm_stream.models.toolset import ToolCall
from llm_stream.models.wires.endpoint import Address, Endpoint, ProviderKey
from llm_stream.models.wires.model import Abilities
from llm_stream.models.wires.openaichat import ChatModel
from llm_stream.models.wires.transport import Transport

from .conftest import MakeAdapter, ask, call
from .fakeserver import FakeProvider, Reply, json_reply
from .samples import CHAT, CHAT_USAGE, chunk, sse

PNG = Attachment("image/png", b"\x89PNG")
PDF = Attachment("application/pdf", b"%PDF")
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
TALK = (
    Message("system", "Be brief."),
    Message("user", "One?"),
    Message("assistant", "Two."),
    Message("user", "Three?", (PNG, PDF)),
)


def encoded(attachment: Attachment) -> str:
    """Its bytes in base64."""
    return b64encode(attachment.content).decode()


async def test_the_request(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Turns, attachments, options and schema as OpenAI documents them."""
    provider.answer(Reply(CHAT))

    options = {"temperature": 0.5, "max_tokens": 7, "stop": ["x"], "logit_bias": {"17": -5}}
    await ask(wire("openai", "gpt-x"), call(*TALK, options=options, schema=SCHEMA))

    assert provider.last.body == {
        "model": "gpt-x",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "Two."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Three?"},
                    {
                        "type": "image_url",
                        "image_url": {"url": f"data:image/png;base64,{encoded(PNG)}"},
                    },
                    {
                        "type": "file",
                        "file": {
                            "filename": "attachment.pdf",
                            "file_data": f"data:application/pdf;base64,{encoded(PDF)}",
                        },
                    },
                ],
            },
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        **options,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "output", "schema": SCHEMA},
        },
    }


async def test_a_system_prompt_beside_a_single_question(
    wire: MakeAdapter, provider: FakeProvider
) -> None:
    """It is sent once, however llm hands it over."""
    provider.answer(Reply(CHAT))

    await ask(wire("openai"), call(*TALK[:2]))

    assert [m["role"] for m in provider.last.body["messages"]] == ["system", "user"]


async def test_reasoning_and_tool_calls(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Thoughts of compatible servers, and calls whose arguments come in pieces, two at once."""

    def tool(index: int, arguments: str, **more: Any) -> Any:
        return chunk(
            {"tool_calls": [{"index": index, "function": {"arguments": arguments}, **more}]}
        )

    first = {"tool_calls": [{"index": 0, "id": "c0", "function": {"name": "f", "arguments": ""}}]}
    second = {"tool_calls": [{"index": 1, "id": "c1", "function": {"name": "g"}}]}
    events = sse(
        chunk({"reasoning_content": "Hm"}), chunk({"reasoning": "m."}), chunk(first),
        tool(0, '{"a":'), chunk(second), tool(0, "1}"), chunk({}, "tool_calls"), CHAT_USAGE,
    )  # fmt: skip
    provider.answer(Reply(events))

    chunks = await ask(wire("openai"))

    assert chunks[:-1] == [
        Reasoning("Hm"), Reasoning("m."), ToolCall("c0", "f", {"a": 1}), ToolCall("c1", "g", {}),
    ]  # fmt: skip
    assert isinstance(chunks[-1], Finish)
    assert chunks[-1].details == {"completion_tokens_details": {"reasoning_tokens": 2}}


async def test_calls_that_are_not_counted(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Some servers give all of them one number, or none: another id begins another call."""
    whole = {"arguments": '{"a":1}'}
    calls = (
        {"index": 0, "id": "c0", "function": {"name": "f", **whole}},
        {"index": 0, "id": "c1", "function": {"name": "f", **whole}},
        {"id": "c2", "function": {"name": "g", "arguments": ""}},
        {"id": "c2", "function": {"name": "g", "arguments": "{}"}},
    )
    events = [chunk({"tool_calls": [call]}) for call in calls]
    provider.answer(Reply(sse(*events, chunk({}, "tool_calls"), CHAT_USAGE)))

    assert (await ask(wire("openai")))[:-1] == [
        ToolCall("c0", "f", {"a": 1}), ToolCall("c1", "f", {"a": 1}), ToolCall("c2", "g", {}),
    ]  # fmt: skip


async def test_content_in_parts(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Thoughts and text as Mistral says them; a part nobody knows is passed over."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    reference = {"type": "reference", "reference_ids": [1]}
    events = sse(
        chunk({"content": [thought]}),
        chunk({"content": [reference, {"type": "text", "text": "Hé"}]}),
        chunk({"content": "llo"}, "stop"),
        CHAT_USAGE,
    )
    provider.answer(Reply(events))

    assert (await ask(wire("openai")))[:-1] == [Reasoning("Hm."), "Hé", "llo"]


@pytest.mark.parametrize(
    ("arguments", "reason", "says"),
    [("{", "tool_calls", "not JSON"), ("[1]", "tool_calls", "no object"), ("{", "length", "cut")],
)
async def test_arguments_that_are_no_object(
    arguments: str, reason: str, says: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """A call with half a JSON value, or another one, is the model's fault."""
    function = {"name": "f", "arguments": arguments}
    events = sse(chunk({"tool_calls": [{"index": 0, "function": function}]}), chunk({}, reason))
    provider.answer(Reply(events))

    with pytest.raises(InvalidOutput, match=says):
        await ask(wire("openai"))


@pytest.mark.parametrize(
    "events",
    [
        [chunk({"refusal": "I can't"}), chunk({"refusal": " do that."}), chunk({}, "stop")],
        [chunk({"content": "Well"}), chunk({}, "content_filter")],
    ],
)
async def test_a_refusal_is_an_error_of_its_own(
    events: list[Any], wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Whether the model refuses in words or the filter ends the answer."""
    provider.answer(Reply(sse(*events, CHAT_USAGE)))

    with pytest.raises(ContentRefused, match=r"I can't do that\.|content filter"):
        await ask(wire("openai"))


@pytest.mark.parametrize(
    "events",
    [
        [chunk({}, "error")],
        [{"error": {"message": "Out of memory", "code": 500}}],
        [chunk({"content": "a"}), {"choices": [], "error": {"message": "Out of memory"}}],
    ],
)
async def test_errors_of_compatible_servers(
    events: list[Any], wire: MakeAdapter, provider: FakeProvider
) -> None:
    """However a server puts an error into its stream, it is one."""
    provider.answer(Reply(sse(*events)))

    with pytest.raises(UpstreamFailed):
        await ask(wire("openai"))


async def test_counts_that_come_with_every_chunk(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Some servers count all the time and send no [DONE]; the last counts hold."""
    usage = CHAT_USAGE["usage"]
    provider.answer(
        Reply(
            sse(chunk({"content": "a"}, usage={"prompt_tokens": 1}), chunk({}, "stop", usage=usage))
        )
    )

    *_, finish = await ask(wire("openai"))

    assert isinstance(finish, Finish)
    assert (finish.input_tokens, finish.output_tokens) == (9, 4)


async def test_a_server_that_does_not_count(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Without counts the answer is as whole; nothing is made up."""
    provider.answer(Reply(sse(chunk({"content": "a"}), chunk({}, "stop"), b"[DONE]")))

    *_, finish = await ask(wire("openai"))

    assert isinstance(finish, Finish)
    assert (finish.input_tokens, finish.output_tokens) == (None, None)


class Direct:
    """A chat model as a program of llm's would use it, without the service around it."""

    def __init__(self, provider: FakeProvider, transport: Transport, **abilities: Any) -> None:
        key = ProviderKey(Keyring({}, None), "x", required=False)
        endpoint = Endpoint("x", Address(provider.url + "/v1"), key, transport)
        self.model = ChatModel("m", "m", endpoint, Abilities(AsyncChat.Options, **abilities))


async def test_an_answer_in_one_piece(provider: FakeProvider, transport: Transport) -> None:
    """Models that do not stream are read whole: text, calls, counts."""
    message = {
        "role": "assistant",
        "content": "Hi",
        "tool_calls": [{"id": "c0", "function": {"name": "f", "arguments": '{"a":1}'}}],
    }
    choice = {"message": message, "finish_reason": "tool_calls"}
    provider.answer(json_reply({**CHAT_USAGE, "choices": [choice]}))

    response = Direct(provider, transport, can_stream=False).model.prompt("Hi", stream=False)

    assert await response.text() == "Hi"
    assert [(c.name, c.arguments) for c in await response.tool_calls()] == [("f", {"a": 1})]
    assert (await response.usage()).output == 4
    assert provider.last.body["stream"] is False


async def test_tools_and_their_results(provider: FakeProvider, transport: Transport) -> None:
    """Declared tools, an earlier call and its result go out as OpenAI documents them."""
    provider.answer(Reply(CHAT))
    called = LlmMessage("assistant", [ToolCallPart(name="f", arguments={"a": 1}, tool_call_id="c")])
    result = LlmMessage("tool", [ToolResultPart(name="f", output="2", tool_call_id="c")])
    tool = llm.Tool("f", "Adds.", {"type": "object"})

    response = Direct(provider, transport).model.prompt(
        messages=[llm.user("1+1?"), called, result], tools=[tool]
    )
    await response.text()

    body = provider.last.body
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"type": "function", "id": "c", "function": {"name": "f", "arguments": '{"a":1}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "2"},
    ]
    function = {"name": "f", "description": "Adds.", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": function}]


async def test_a_key_of_the_program_is_used_as_it_is(
    provider: FakeProvider, transport: Transport
) -> None:
    """`key=` is sent to the configured address and looked up nowhere."""
    provider.answer(Reply(CHAT))

    await Direct(provider, transport).model.prompt("Hi", key="openai").text()

    assert provider.last.headers["authorization"] == "Bearer openai"
