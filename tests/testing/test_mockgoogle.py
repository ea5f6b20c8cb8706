"""Google's mocked wires: Gemini in both of its streamed forms, and PaLM."""

import json
from typing import Any

import pytest

from llm_stream.testing.mockproviders import MockProviders

from .rawhttp import Arrived, exchange, post

CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
KEY = {"x-goog-api-key": "AIza-abcdefgijkl"}
STREAM = "/gemini/v1beta/models/{}:streamGenerateContent"


async def ask(mocks: MockProviders, path: str, body: dict[str, Any] | None = None) -> Arrived:
    """One request with a key."""
    return await exchange(mocks, post(path, body or CONTENTS, KEY))


def said(parts: list[dict[str, Any]]) -> str:
    """The text of several parts of an answer, without thoughts."""
    return "".join(
        part.get("text", "")
        for answer in parts
        for part in answer["candidates"][0]["content"]["parts"]
        if not part.get("thought")
    )


async def test_gemini_says_the_same_in_every_form(mocks: MockProviders) -> None:
    """The SSE events, the elements of the array and the plain answer are one answer."""
    events = await ask(mocks, STREAM.format("mock") + "?alt=sse")
    array = await ask(mocks, STREAM.format("mock"))
    plain = await ask(mocks, "/gemini/v1beta/models/mock:generateContent")

    lines = events.body.decode().removesuffix("\r\n\r\n").split("\r\n\r\n")
    streamed = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert streamed == json.loads(array.body)
    assert said(streamed) == said([json.loads(plain.body)]) != ""
    assert streamed[-1]["candidates"][0]["finishReason"] == "STOP"
    assert streamed[-1]["usageMetadata"] == json.loads(plain.body)["usageMetadata"]


async def test_gemini_thinks_when_asked(mocks: MockProviders) -> None:
    """With includeThoughts, thoughts come first and are counted beside the text."""
    config = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    answer = json.loads((await ask(mocks, STREAM.format("mock"), CONTENTS | config)).body)

    assert answer[0]["candidates"][0]["content"]["parts"][0]["thought"] is True
    assert answer[-1]["usageMetadata"]["thoughtsTokenCount"] == 3


async def test_gemini_calls_a_function(mocks: MockProviders) -> None:
    """An offered function is called with arguments that its parameters allow."""
    parameters = {"type": "OBJECT", "properties": {"days": {"type": "INTEGER"}}}
    function = {"name": "travel", "parameters": parameters}
    body = CONTENTS | {"tools": [{"functionDeclarations": [function]}]}
    answer = json.loads((await ask(mocks, STREAM.format("mock"), body)).body)

    (part,) = answer[0]["candidates"][0]["content"]["parts"]
    assert part.pop("thoughtSignature")
    assert part == {"functionCall": {"name": "travel", "args": {"days": 1}}}


async def test_gemini_meets_a_schema(mocks: MockProviders) -> None:
    """With a response schema the text is a value of it."""
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    config = {"responseMimeType": "application/json", "responseSchema": schema}
    body = CONTENTS | {"generationConfig": config}

    answer = json.loads((await ask(mocks, STREAM.format("mock"), body)).body)

    assert json.loads(said(answer)) == {"ok": True}


@pytest.mark.parametrize(
    ("path", "wrap"),
    [("?alt=sse", lambda error: error), ("", lambda error: error[0])],
    ids=["sse", "array"],
)
async def test_gemini_errors_have_the_form_of_the_stream(
    mocks: MockProviders, path: str, wrap: Any
) -> None:
    """An error is an object with SSE and an array of one without."""
    arrived = await ask(mocks, STREAM.format("mock-429") + path)

    error = wrap(json.loads(arrived.body))["error"]
    assert (arrived.status, error["code"], error["status"]) == (429, 429, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize("at", [0, 3])
async def test_gemini_errors_in_mid_stream(mocks: MockProviders, at: int) -> None:
    """The array stays JSON, and its last element is the error."""
    answer = json.loads((await ask(mocks, STREAM.format(f"mock-error-{at}"))).body)

    assert len(answer) == at + 1
    assert answer[-1]["error"]["status"] == "UNAVAILABLE"


async def test_google_refuses_without_a_key(mocks: MockProviders) -> None:
    """A missing key is a 403, a wrong one a 400, and one in the address is masked."""
    path = "/gemini/v1beta/models/mock:generateContent"
    missing = await exchange(mocks, post(path, CONTENTS, {}))
    wrong = await exchange(mocks, post(path + "?key=invalid", CONTENTS, {}))

    assert (missing.status, wrong.status) == (403, 400)
    assert b"API_KEY_INVALID" in wrong.body
    assert mocks.requests[-1].path == path + "?key=***"


async def test_palm_answers_messages_and_text(mocks: MockProviders) -> None:
    """Both methods say the same to the same prompt, each in its own shape."""
    messages = {"prompt": {"messages": [{"content": "hello"}]}, "temperature": 0.5}
    chat = await ask(mocks, "/palm/v1beta2/models/mock:generateMessage", messages)
    text = await ask(mocks, "/palm/v1beta3/models/mock:generateText", {"prompt": {"text": "hello"}})

    (message,) = json.loads(chat.body)["candidates"]
    (completion,) = json.loads(text.body)["candidates"]
    assert message["content"] == completion["output"] != ""
    assert message["author"] == "1"


async def test_palm_tells_what_it_held_back(mocks: MockProviders) -> None:
    """A filtered answer has no candidates, but a reason."""
    body = {"prompt": {"text": "hello"}}
    arrived = await ask(mocks, "/palm/v1beta/models/mock-filter:generateText", body)

    assert json.loads(arrived.body) == {"filters": [{"reason": "SAFETY"}]}


async def test_google_lists_models(mocks: MockProviders) -> None:
    """Both wires list models by their resource names."""
    for path in ("/gemini/v1beta/models", "/palm/v1beta2/models"):
        request = f"GET {path}?key=k HTTP/1.1\r\nconnection: close\r\n\r\n".encode()
        listed = json.loads((await exchange(mocks, request)).body)

        assert [model["name"] for model in listed["models"]] == ["models/mock"]
