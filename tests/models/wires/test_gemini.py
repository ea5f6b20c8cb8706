from typing import Any

import llm
import pytest
from llm.parts import Message as LlmMessage
from llm.parts import ToolCallPart, ToolResultPart

from llm_stream.errors import ContentRefused, UnsupportedByModel, UpstreamFailed
from llm_stream.models.chunks import Attachment, Finish, Message, Reasoning
from llm_stream.models.toolset import ToolCall

from .conftest import MakeAdapter, ask, call
from .fakeserver import FakeProvider, Reply
from .samples import GEMINI, part, sse
from .test_openaichat import PDF, PNG, SCHEMA, TALK, encoded


def parts(*found: Any, **candidate: Any) -> dict[str, Any]:
    """An event with these parts."""
    return {"candidates": [{"content": {"parts": list(found)}, **candidate}]}


async def test_the_request(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Turns, attachments, options and schema as Google documents them."""
    provider.answer(Reply(GEMINI))
    options = {"temperature": 0.5, "max_output_tokens": 7, "top_k": 3, "thinking_budget": 5}

    await ask(wire("gemini", "gemini-x"), call(*TALK, options=options, schema=SCHEMA))

    body = provider.last.body
    assert {setting["threshold"] for setting in body.pop("safetySettings")} == {"BLOCK_NONE"}
    assert body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "One?"}]},
            {"role": "model", "parts": [{"text": "Two."}]},
            {
                "role": "user",
                "parts": [
                    {"text": "Three?"},
                    {"inlineData": {"mimeType": "image/png", "data": encoded(PNG)}},
                    {"inlineData": {"mimeType": "application/pdf", "data": encoded(PDF)}},
                ],
            },
        ],
        "generationConfig": {
            "temperature": 0.5,
            "maxOutputTokens": 7,
            "topK": 3,
            "thinkingConfig": {"thinkingBudget": 5},
            "responseMimeType": "application/json",
            "responseSchema": SCHEMA,
        },
    }


@pytest.mark.parametrize("name", ["a/b", "a:b", "a@b", "a+b"])
async def test_a_name_stays_in_its_place(
    name: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Whatever a caller's model name holds, it is one segment of the path."""
    provider.answer(Reply(GEMINI))

    await ask(wire("gemini", name))

    path, _, query = provider.last.target.partition("?")
    assert query == "alt=sse"
    assert path.count("/") == 3
    assert path.endswith(":streamGenerateContent")


async def test_thoughts_and_tool_calls(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Thoughts are told from text, calls come whole, other parts are passed over."""
    function = {"name": "f", "args": {"a": 1}}
    events = sse(
        parts({"text": "Hm.", "thought": True}, {"text": ""}, {"executableCode": {"code": "1"}}),
        parts({"functionCall": function}, {"functionCall": {"name": "g", "id": "c9"}}),
        part("", finishReason="STOP"),
    )
    provider.answer(Reply(events))

    *chunks, finish = await ask(wire("gemini"))

    assert chunks == [
        Reasoning("Hm."), ToolCall("call_0", "f", {"a": 1}), ToolCall("c9", "g", {}),
    ]  # fmt: skip
    assert isinstance(finish, Finish)
    assert finish.details == {"candidatesTokenCount": 2, "thoughtsTokenCount": 2}


async def test_a_finish_reason_with_every_piece(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Older models say STOP all the time; what follows still counts."""
    provider.answer(Reply(sse(part("a", finishReason="STOP"), part("b", finishReason="STOP"))))

    assert (await ask(wire("gemini")))[:-1] == ["a", "b"]


async def test_a_cut_between_pieces_that_all_say_stop(
    wire: MakeAdapter, provider: FakeProvider
) -> None:
    """A finish reason that something follows is no end mark: the body has to end properly."""
    events = sse(part("a", finishReason="STOP"), part("b", finishReason="STOP"))
    provider.answer(Reply(events, end="cut"))

    with pytest.raises(UpstreamFailed):
        await ask(wire("gemini"))


@pytest.mark.parametrize(
    "event",
    [
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}},
        parts({"text": "a"}, finishReason="SAFETY"),
        {"candidates": [{"content": None, "finishReason": "RECITATION"}]},
    ],
)
async def test_refusals(event: Any, wire: MakeAdapter, provider: FakeProvider) -> None:
    """A blocked question and a blocked answer are errors of their own."""
    provider.answer(Reply(sse(event)))

    with pytest.raises(ContentRefused):
        await ask(wire("gemini"))


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "OTHER", "SOMETHING_NEW"])
async def test_an_end_that_is_no_good_one(
    reason: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Only STOP and MAX_TOKENS end a whole answer."""
    provider.answer(Reply(sse(part("a", finishReason=reason))))

    with pytest.raises(UpstreamFailed, match=reason):
        await ask(wire("gemini"))


async def test_audio_has_googles_name(wire: MakeAdapter, provider: FakeProvider) -> None:
    """audio/mpeg is audio/mp3 there."""
    provider.answer(Reply(GEMINI))
    adapter = wire("gemini")
    adapter._model.attachment_types = {"audio/mpeg"}

    await ask(adapter, call(Message("user", "", (Attachment("audio/mpeg", b"ID3"),))))

    (content,) = provider.last.body["contents"]
    assert content["parts"][0]["inlineData"]["mimeType"] == "audio/mp3"


async def test_tools_and_their_results(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Declarations, an earlier call and its result go out as Google documents them."""
    provider.answer(Reply(GEMINI))
    called = LlmMessage("assistant", [ToolCallPart(name="f", arguments={"a": 1}, tool_call_id="c")])
    result = LlmMessage("tool", [ToolResultPart(name="f", output="2", tool_call_id="c")])
    model: Any = wire("gemini")._model

    await model.prompt(
        messages=[llm.user("?"), called, result], tools=[llm.Tool("f", "Adds.", SCHEMA)]
    ).text()

    body = provider.last.body
    assert body["contents"][1:] == [
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "f", "response": {"output": "2"}}}],
        },
    ]
    declared = {"name": "f", "description": "Adds.", "parameters": SCHEMA}
    assert body["tools"] == [{"functionDeclarations": [declared]}]


async def test_thought_signatures_go_back_with_the_calls(
    wire: MakeAdapter, provider: FakeProvider
) -> None:
    """A call goes back with the signature it came with; newer models refuse it without."""
    called = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "Q2Fy"}
    second = {"functionCall": {"name": "g", "args": {}}}
    provider.answer(Reply(sse(parts(called, second), part("", finishReason="STOP"))))
    model: Any = wire("gemini")._model
    tools = [llm.Tool("f", "Adds.", SCHEMA)]
    first = model.prompt("?", tools=tools)
    await first.text()
    provider.answer(Reply(GEMINI))

    await model.prompt(messages=[llm.user("?"), *await first.messages()], tools=tools).text()

    assert provider.last.body["contents"][1]["parts"] == [called, second]


async def test_a_schema_that_refers_to_itself(wire: MakeAdapter, provider: FakeProvider) -> None:
    """It cannot be said to Gemini; the caller is told, and nothing is sent."""
    schema = {"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}

    with pytest.raises(UnsupportedByModel) as caught:
        await ask(wire("gemini"), call(schema=schema))

    assert caught.value.field == "schema"
    assert provider.requests == []
