from typing import Any

import pytest

from llm_stream.config import ProviderSection
from llm_stream.errors import ContentRefused, UpstreamFailed
from llm_stream.models.chunks import Finish
from llm_stream.models.keys import Keyring
from llm_stream.models.wires.providers import Providers

from .conftest import MakeAdapter, ask, call
from .fakeserver import FakeProvider, json_reply
from .samples import PALM
from .test_openaichat import TALK

SAID = tuple(message.__class__(message.role, message.content) for message in TALK)


async def test_a_chat_model(wire: MakeAdapter, provider: FakeProvider) -> None:
    """Context, messages and options as Google documented them; one chunk and no counts."""
    provider.answer(json_reply(PALM))

    chunks = await ask(wire("palm", "chat-bison-001"), call(*SAID, options={"top_k": 3}))

    assert chunks == ["Héllo, wörld.", Finish("stop", None, None, None)]
    assert provider.last.target == "/v1beta2/models/chat-bison-001:generateMessage"
    assert provider.last.body == {
        "topK": 3,
        "prompt": {
            "context": "Be brief.",
            "messages": [
                {"author": "user", "content": "One?"},
                {"author": "assistant", "content": "Two."},
                {"author": "user", "content": "Three?"},
            ],
        },
    }


async def test_a_text_model(wire: MakeAdapter, provider: FakeProvider) -> None:
    """It is told everything as one text."""
    provider.answer(json_reply({"candidates": [{"output": "Hi"}]}))

    chunks = await ask(
        wire("palm", "text-bison-001"), call(*SAID[:2], options={"max_output_tokens": 7})
    )

    assert chunks[0] == "Hi"
    assert provider.last.target == "/v1beta2/models/text-bison-001:generateText"
    assert provider.last.body == {"prompt": {"text": "Be brief.\n\nOne?"}, "maxOutputTokens": 7}


@pytest.mark.parametrize("body", [{}, {"candidates": []}, {"candidates": [{}]}, [], b"", b'{"cand'])
async def test_what_is_no_answer(body: Any, wire: MakeAdapter, provider: FakeProvider) -> None:
    """No candidate, no text, no JSON: a failure."""
    provider.answer(json_reply(body))

    with pytest.raises(UpstreamFailed):
        await ask(wire("palm"))


async def test_a_filtered_answer(wire: MakeAdapter, provider: FakeProvider) -> None:
    """No candidate and a filter that says why: refused."""
    provider.answer(json_reply({"filters": [{"reason": "SAFETY"}]}))

    with pytest.raises(ContentRefused, match="SAFETY"):
        await ask(wire("palm"))


@pytest.mark.slow
@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_a_cut_answer_never_looks_whole(
    end: Any, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Half a JSON value is a failure wherever it was cut."""
    adapter = wire("palm")
    (body,) = json_reply(PALM).blocks

    for offset in range(len(body) + 1):
        provider.answer(json_reply(body[:offset], end=end))
        with pytest.raises(UpstreamFailed):
            await ask(adapter)


async def test_llm_can_ask_for_a_stream(provider: FakeProvider) -> None:
    """llm's own programs ask every model for one; this one answers in one piece all the same."""
    provider.answer(json_reply(PALM))
    section = ProviderSection(kind="palm", base_url=provider.url)
    providers = Providers({"p": section}, Keyring({}, None))
    model: Any = providers.on_demand("p/chat-bison-001")

    assert await model.prompt("Hi", stream=True).text() == "Héllo, wörld."
    await providers.close()
    assert provider.last.target.endswith(":generateMessage")
