from typing import Any

import pytest
from llm.default_plugins.openai_models import build_options_class

from llm_stream.errors import ContentRefused, InvalidOption, RateLimited, UpstreamFailed
from llm_stream.models.chunks import Attachment, Finish, Message, Reasoning
from llm_stream.models.toolset import Tool, ToolCall, Toolset

from .conftest import MakeAdapter, ask, call
from .fakeserver import FakeProvider, Reply
from .samples import CHAT, RESPONSE, RESPONSES, sse
from .test_openaichat import PDF, PNG, SCHEMA, TALK, encoded


def completed(**more: Any) -> dict[str, Any]:
    """The last event."""
    return {"type": "response.completed", "response": {**RESPONSE, **more}}


async def test_the_request(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Turns, attachments, options and schema as OpenAI documents them; nothing is stored."""
    provider.answer(Reply(RESPONSES))
    options = {
        "temperature": 0.5, "max_tokens": 7, "reasoning_effort": "low", "verbosity": "low",
        "image_detail": "high", "service_tier": "flex",
    }  # fmt: skip

    await ask(wire("openai_responses", "gpt-9"), call(*TALK, options=options, schema=SCHEMA))

    assert provider.last.body == {
        "model": "gpt-9",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "Two."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Three?"},
                    {
                        "type": "input_image",
                        "image_url": f"data:image/png;base64,{encoded(PNG)}",
                        "detail": "high",
                    },
                    {
                        "type": "input_file",
                        "filename": "attachment.pdf",
                        "file_data": f"data:application/pdf;base64,{encoded(PDF)}",
                    },
                ],
            },
        ],
        "stream": True,
        "store": False,
        "temperature": 0.5,
        "max_output_tokens": 7,
        "service_tier": "flex",
        "reasoning": {"summary": "auto", "effort": "low"},
        "text": {
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "output", "schema": SCHEMA, "strict": False},
        },
    }


@pytest.mark.parametrize(
    ("name", "reasons"),
    [("gpt-4o-2030", False), ("gpt-9-chat-latest", False), ("chatgpt-9", False), ("gpt-9", True)],
)
async def test_models_that_do_not_reason_are_not_asked_to(
    name: str, reasons: bool, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """gpt-4 and older, and those made for chat, would refuse the field."""
    provider.answer(Reply(RESPONSES))

    await ask(wire("openai_responses", name))

    assert ("reasoning" in provider.last.body) is reasons


async def test_chat_completions_can_be_had_instead(
    wire: MakeAdapter, provider: FakeProvider
) -> None:
    """The option sends the same model to the other endpoint and is no field there."""
    provider.answer(Reply(CHAT))

    await ask(wire("openai_responses"), call(options={"chat_completions": True}))

    assert provider.last.target == "/v1/chat/completions"
    assert "chat_completions" not in provider.last.body


async def test_reasoning_and_tool_calls(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Summaries of thoughts with a gap between their parts, and calls in pieces."""
    item = {"type": "function_call", "call_id": "c0", "name": "f"}
    summary = "response.reasoning_summary"
    events = [
        {"type": f"{summary}_part.added", "summary_index": 0},
        {"type": f"{summary}_text.delta", "delta": "One."},
        {"type": f"{summary}_part.added", "summary_index": 1},
        {"type": f"{summary}_text.delta", "delta": "Two."},
        {"type": "response.output_item.added", "output_index": 1, "item": item},
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 1,
            "delta": '{"a":',
        },
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "1}"},
        completed(output=[]),
    ]
    provider.answer(Reply(sse(*events)))

    *chunks, finish = await ask(wire("openai_responses"))

    assert chunks == [
        Reasoning("One."), Reasoning("\n\n"), Reasoning("Two."), ToolCall("c0", "f", {"a": 1}),
    ]  # fmt: skip
    assert isinstance(finish, Finish)
    assert finish.finish_reason == "tool_calls"


async def test_an_answer_that_only_the_last_event_says(
    wire: MakeAdapter, provider: FakeProvider
) -> None:
    """A server that streams no deltas loses nothing."""
    thoughts = {"type": "reasoning", "summary": [{"text": "Hm."}]}
    made = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    provider.answer(Reply(sse(completed(output=[thoughts, *RESPONSE["output"], made]))))

    *chunks, _ = await ask(wire("openai_responses"))

    assert chunks == [Reasoning("Hm."), "Héllo, wörld.", ToolCall("c", "f", {})]


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("something_new", "something_new")]
)
async def test_an_incomplete_answer_says_why(
    reason: str, finish: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Running out of tokens is an end like any other, with its name."""
    event = completed(status="incomplete", incomplete_details={"reason": reason})
    provider.answer(Reply(sse(event)))

    *_, end = await ask(wire("openai_responses"))

    assert isinstance(end, Finish)
    assert end.finish_reason == finish


@pytest.mark.parametrize(
    "event",
    [
        completed(status="incomplete", incomplete_details={"reason": "content_filter"}),
        completed(output=[{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]),
        {"type": "response.refusal.delta", "delta": "No."},
    ],
)
async def test_refusals(event: Any, wire: MakeAdapter, provider: FakeProvider) -> None:
    """In words or by the filter, a refusal is an error of its own."""
    provider.answer(Reply(sse(event, completed())))

    with pytest.raises(ContentRefused):
        await ask(wire("openai_responses"))


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "Slow."}, RateLimited),
        ({"type": "error", "code": "server_error", "message": "Oops."}, UpstreamFailed),
        (
            {
                "type": "response.failed",
                "response": {
                    "status": "failed",
                    "error": {"code": "server_error", "message": "Oops."},
                },
            },
            UpstreamFailed,
        ),
        ({"type": "response.failed", "response": {"status": "cancelled"}}, UpstreamFailed),
    ],
)
async def test_failures_in_the_stream(
    event: Any, kind: Any, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Errors and failed responses fail the answer; llm's own class does not see them."""
    provider.answer(Reply([*RESPONSES[:3], *sse(event)]))

    with pytest.raises(kind, match=r"Slow\.|Oops\.|cancelled"):
        await ask(wire("openai_responses"))


async def test_an_option_responses_do_not_have(wire: MakeAdapter, provider: FakeProvider) -> None:
    """The class of llm's plugin lists a seed; the caller is told, and nothing is sent."""
    adapter = wire("openai_responses")
    adapter._model.Options = build_options_class(chat_completions=True)

    with pytest.raises(InvalidOption, match="set chat_completions to true") as caught:
        await ask(adapter, call(options={"seed": 1}))

    assert caught.value.field == "options.seed"
    assert provider.requests == []
    # With that it is no fault, whether or not the request is written down before it is sent.
    asked = call(options={"seed": 1, "chat_completions": True}, tools=Toolset((Tool("f"),)))
    adapter.check(asked)


async def test_an_attachment_without_words(wire: MakeAdapter, provider: FakeProvider) -> None:
    """An image alone is a question."""
    provider.answer(Reply(RESPONSES))
    image = Message("user", "", (Attachment("image/gif", b"GIF"),))

    await ask(wire("openai_responses"), call(image))

    (item,) = provider.last.body["input"]
    assert [part["type"] for part in item["content"]] == ["input_image"]
