"""`Idempotency-Key` at the doors for OpenAI's SDKs."""

import asyncio
from typing import Any

import aiohttp
import openai
import pytest

from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ...wire import speaking, until
from .conftest import ASKED, HELLO

KEYED = {
    "extra_headers": {"Idempotency-Key": "order-1"},
    "extra_body": {"cache": {"mode": "bypass"}},
}
QUESTION: dict[str, Any] = {"model": "scripted", "input": "Say hello."}


async def chat(gpt: Any, **more: Any) -> Any:
    """The id of a completion."""
    return (await gpt.chat.completions.create(**ASKED, **KEYED, **more)).id


async def respond(gpt: Any, **more: Any) -> Any:
    """The id of a response."""
    return (await gpt.responses.create(**QUESTION, **KEYED, **more)).id


@pytest.mark.parametrize("ask", [chat, respond])
async def test_a_key_leads_to_one_run(gpt: Any, model: ScriptedModel, ask: Any) -> None:
    """Whoever asks again by it gets the same answer, though nothing is cached."""
    first = await ask(gpt)
    second = await ask(gpt)

    assert first == second
    assert len(model.calls) == 1


@pytest.mark.parametrize("ask", [chat, respond])
async def test_a_key_with_another_body_is_refused(gpt: Any, ask: Any) -> None:
    """In OpenAI's shape, and the SDK does not ask again."""
    await ask(gpt)
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        await ask(gpt, temperature=1)

    assert raised.value.code == "idempotency_conflict"
    assert raised.value.response.headers["x-should-retry"] == "false"


async def test_each_call_has_keys_of_its_own(gpt: Any, model: ScriptedModel) -> None:
    """A key of a chat completion is none of a response's."""
    await chat(gpt)
    await respond(gpt)

    assert len(model.calls) == 2


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_that_was_lost_is_made_again(
    gpt: Any, service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel,
    streamed: bool,
) -> None:  # fmt: skip
    """Its run went on, and its whole answer is there; without a key it would have ended."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    body = {**ASKED, "stream": streamed}
    headers = {"Idempotency-Key": "order-2", "Authorization": "Bearer lls_any"}
    url = f"{service.url}/v1/chat/completions"
    first = asyncio.create_task(http.post(url, json=body, headers=headers))
    await speaking(model)
    if streamed:
        (await first).close()
    else:
        first.cancel()
    run = next(iter(service.parts.registry.newest()))
    await until(lambda: not run.readers)
    assert not run.ending

    again = asyncio.create_task(http.post(url, json=body, headers=headers))
    await until(lambda: run.readers)
    run.cancel("requested")
    async with await again as response:
        assert response.headers["X-Run-Id"] == run.id
    assert len(model.calls) == 1


async def test_without_a_key_nobody_can_come_back(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """So a completion that was understood before with a key is cancelled without one."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    body = {"model": "scripted", "messages": HELLO, "stream": True, "cache": {"mode": "bypass"}}
    for headers in ({"Idempotency-Key": "order-3"}, {}):
        response = await http.post(f"{service.url}/v1/chat/completions", json=body, headers=headers)
        response.close()
    await asyncio.to_thread(model.calls[1].closed.wait, 10)

    assert model.calls[1].closed.is_set()
    assert not model.calls[0].closed.is_set()
