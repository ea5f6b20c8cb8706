"""What llama.cpp is asked for a prompt, and what its chunks mean."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import llm
import pydantic
import pytest
from llm.parts import AttachmentPart, Message, StreamEvent, TextPart

from llm_stream.errors import (
    ContextTooLong,
    ModelUnavailable,
    StreamError,
    UnsupportedByModel,
    UpstreamFailed,
    UpstreamRejected,
)
from llm_stream.models.localchat import LocalOptions, Reading, chat_request
from llm_stream.models.localengine import Answer
from llm_stream.testing import ScriptedModel

from .conftest import piece, usage


class Asked(ScriptedModel):
    """A model with the embedded model's options; `request` is what a prompt becomes."""

    Options = LocalOptions  # type: ignore[assignment]

    def request(self, prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """The request of a prompt."""
        return chat_request(self.prompt(prompt, **kwargs).prompt, context_tokens=2048)


def test_a_small_model_gets_careful_defaults() -> None:
    """Unset options become values that let it end and keep to the point."""
    request = Asked().request("Hi")

    assert request["messages"] == [{"role": "user", "content": "Hi"}]
    assert request["max_tokens"] == 512
    assert (request["temperature"], request["top_p"]) == (0.2, 0.9)
    assert request["repeat_penalty"] > 1
    assert request["dry_multiplier"] == 0
    assert not {"seed", "stop", "response_format"} & set(request)


@pytest.mark.parametrize(
    ("option", "value", "sent"),
    [
        ("max_tokens", 7, {"max_tokens": 7}),
        ("max_tokens", 2**70, {"max_tokens": 2048}),
        ("temperature", 0, {"temperature": 0}),
        ("top_p", 0.5, {"top_p": 0.5}),
        ("seed", 0, {"seed": 0, "cache_prompt": False}),
        ("stop", "END", {"stop": ["END"]}),
        ("stop", ["a", "b"], {"stop": ["a", "b"]}),
    ],
    ids=str,
)
def test_options_are_sent(option: str, value: Any, sent: dict[str, Any]) -> None:
    """Each option that is set replaces its default; a seed also turns the prompt cache off."""
    request = Asked().request("Hi", options={option: value})

    assert sent.items() <= request.items()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_tokens", 0),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", float("nan")),
        ("top_p", 0),
        ("top_p", 1.1),
        ("seed", -1),
        ("seed", 2**32 - 1),
        ("stop", ""),
        ("stop", ["a", ""]),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("top_k", 3),
    ],
    ids=str,
)
def test_options_have_ranges(option: str, value: Any) -> None:
    """A value out of its range, and an unknown option, are refused by name."""
    with pytest.raises(pydantic.ValidationError) as caught:
        Asked().prompt("Hi", options={option: value})

    assert caught.value.errors()[0]["loc"][0] == option


def test_a_schema_becomes_a_grammar() -> None:
    """It is sent as `json_schema`, and repetition, which JSON needs, costs nothing."""
    schema = {"type": "object"}

    request = Asked().request("Hi", schema=schema)

    assert request["response_format"]["json_schema"]["schema"] == schema
    assert request["repeat_penalty"] == 1
    assert request["dry_multiplier"] > 0


USER = llm.user("Hi")


@pytest.mark.parametrize(
    ("asked", "system"),
    [
        ({"prompt": "Hi", "system": "Be brief."}, "Be brief."),
        ({"messages": [USER], "system": "Be brief."}, "Be brief."),
        ({"messages": [llm.system("Be brief."), USER], "system": "Be brief."}, "Be brief."),
        ({"messages": [llm.system("Be brief."), USER]}, "Be brief."),
        (
            {"messages": [llm.system("A"), llm.system("B"), USER], "system": "A\n\nB"},
            "A\n\nB",
        ),
        ({"messages": [llm.system("A"), USER, llm.system("A"), USER]}, "A"),
    ],
)
def test_the_system_prompt_is_said_once_and_first(asked: dict[str, Any], system: str) -> None:
    """Whether it comes as system=, in messages= or in both, there is one system turn."""
    messages = Asked().request(**asked)["messages"]

    assert messages[0] == {"role": "system", "content": system}
    assert {message["role"] for message in messages[1:]} == {"user"}


def test_a_conversation_keeps_its_turns() -> None:
    """User and assistant turns are sent in order, text only."""
    messages = [llm.user("1"), llm.assistant("2"), llm.user("3")]

    assert Asked().request(messages=messages)["messages"] == [
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "3"},
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message(role="user", parts=[AttachmentPart(attachment=llm.Attachment(content=b"x"))]),
        Message(role="tool", parts=[TextPart(text="42")]),
    ],
    ids=["attachment", "tool result"],
)
def test_what_is_not_text_is_refused(message: Message) -> None:
    """Attachments and tool results inside messages= are the caller's to leave out."""
    with pytest.raises(UnsupportedByModel, match="text only"):
        Asked().request(messages=[message])


def test_half_a_character_is_replaced() -> None:
    """A lone surrogate, which no UTF-8 can hold, does not reach the library."""
    request = Asked().request("a\ud800b", system="\ud800")

    assert [message["content"] for message in request["messages"]] == ["?", "a?b"]


class Noted:
    """What a response would be told."""

    response_json: Any = None
    usage: Any = None

    def set_usage(self, **counts: int) -> None:
        """Note the counts."""
        self.usage = counts


def ended(failure: Exception | None = None, *, left: bool = False) -> Answer:
    """An answer whose thread has ended."""
    answer, future = Answer(), Future[None]()
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)
    answer.future = future
    if left:
        answer.leave()
    return answer


def pieces(reading: Reading, *chunks: dict[str, Any]) -> Iterator[str | StreamEvent]:
    """What several chunks say."""
    for chunk in chunks:
        yield from reading.take(chunk)


def test_text_and_reasoning_are_passed_on_and_the_end_is_noted() -> None:
    """Empty pieces and progress are no text; finish reason and usage reach the response."""
    reading, noted = Reading("m", None), Noted()
    thought = {"choices": [{"delta": {"reasoning_content": "hm"}, "finish_reason": None}]}
    said = list(
        pieces(
            reading,
            piece(prompt_progress={"processed": 0}),
            thought,
            piece("a"),
            piece(""),
            piece("b"),
            piece(finish_reason="length"),
            usage(3, 2),
        )
    )

    reading.end(ended(), noted)

    assert said == [StreamEvent(type="reasoning", chunk="hm"), "a", "b"]
    assert noted.response_json == {"finish_reason": "length"}
    assert noted.usage == {"input": 3, "output": 2}


ERRORS: list[tuple[Any, dict[str, Any], type[StreamError], str]] = [
    (
        None,
        {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 3031, "n_ctx": 2048},
        ContextTooLong,
        "3031 tokens; m takes 2048",
    ),
    ({"type": "x"}, {"code": 400, "message": "bad grammar"}, UnsupportedByModel, "bad grammar"),
    (None, {"code": 400, "message": "bad role"}, UpstreamRejected, "bad role"),
    (None, {"code": 500, "message": "key sk-abcdefghijkl"}, UpstreamFailed, r"key \[redacted\]"),
    (None, {"code": 500}, UpstreamFailed, "no reason given"),
]


@pytest.mark.parametrize(("schema", "error", "ours", "says"), ERRORS)
def test_errors_of_llamacpp_are_ours(
    schema: Any, error: dict[str, Any], ours: type[StreamError], says: str
) -> None:
    """Each error value becomes the class that says whose doing it was."""
    with pytest.raises(ours, match=says) as caught:
        list(Reading("m", schema).take({"error": error}))

    assert caught.value.field == ("schema" if ours is UnsupportedByModel else None)


@pytest.mark.parametrize(
    ("schema", "answer", "ours", "says"),
    [
        ({"type": "x"}, ended(ValueError("generation failed: bad")), UnsupportedByModel, ": bad"),
        (None, ended(TypeError("no")), UpstreamRejected, "m: no"),
        (None, ended(ModelUnavailable("gone")), ModelUnavailable, "gone"),
        (None, ended(RuntimeError("odd")), UpstreamFailed, "odd"),
        (None, ended(left=True), ModelUnavailable, "closed"),
        (None, ended(), UpstreamFailed, "in the middle"),
    ],
)
def test_an_end_without_a_reason_is_an_error(
    schema: Any, answer: Answer, ours: type[StreamError], says: str
) -> None:
    """What the thread raised, a closing, or a silent stop never look like a whole answer."""
    reading, noted = Reading("m", schema), Noted()
    list(reading.take(piece("a")))

    with pytest.raises(ours, match=says):
        reading.end(answer, noted)

    assert noted.response_json is None
