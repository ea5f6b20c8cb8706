"""Providers behind a whole service: configured, asked, failing, cancelled."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llm_stream.config import HistorySection, LocalSection, ModelsSection, Settings, load
from llm_stream.config.providers import built_in_providers
from llm_stream.config.resilience import RetriesSection
from llm_stream.testing.service import RunningService, running_service

from ..conftest import StartService
from ..models.wires.fakeserver import FakeProvider, Reply, fake_provider, json_reply
from ..models.wires.samples import ANTHROPIC, CHAT
from ..wire import SSE, sse_events

FOUR_LINES = """\
[providers.ollama]
kind = "openai"
base_url = "{url}/v1"
models = ["llama3.2"]
"""


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A server that answers what a test tells it to."""
    async with fake_provider() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, provider: FakeProvider) -> Settings:
    """Four lines of configuration; without embedded model, plugins and history."""
    path = tmp_path / "config.toml"
    path.write_text(FOUR_LINES.format(url=provider.url))
    return load(path).model_copy(
        update={
            "models": ModelsSection(plugins=(), default="ollama/llama3.2", aliases={}),
            "local": LocalSection(enabled=False),
            "history": HistorySection(enabled=False),
        }
    )


async def generate(
    service: RunningService, http: aiohttp.ClientSession, **body: Any
) -> tuple[int, Any]:
    """Status and body of an answer in one piece."""
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "Hi", **body}) as reply:
        return reply.status, await reply.json(content_type=None)


async def test_four_lines_add_a_server(
    settings: Settings, provider: FakeProvider, http: aiohttp.ClientSession
) -> None:
    """Ollama, vLLM or llama.cpp answers under its own model's name, streamed, without a key."""
    provider.answer(Reply(CHAT))

    async with running_service(settings) as service:
        answers = [await generate(service, http, model=m) for m in ("llama3.2", "ollama/llama3.2")]
        async with http.get(f"{service.url}/v1/models") as reply:
            listed = {model["id"]: model for model in (await reply.json())["data"]}

    assert [(status, body["text"]) for status, body in answers] == [(200, "Héllo, wörld.")] * 2
    assert answers[0][1]["model"] == "ollama/llama3.2"
    assert listed["ollama/llama3.2"]["owned_by"] == "ollama"
    assert provider.last.body["model"] == "llama3.2"


async def test_palms_names_answer_through_their_successor(
    settings: Settings, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says which model that is, and the missing key is told before anything is sent."""
    for name in ("LLM_GEMINI_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    async with running_service(settings) as service:
        status, body = await generate(service, http, model="chat-bison-001")
        async with http.get(f"{service.url}/v1/runs/{body['run']}") as reply:
            run = await reply.json()

    assert (status, body["code"]) == (503, "missing_key")
    assert "LLM_GEMINI_KEY" in body["detail"]
    assert run["model"] == "gemini/gemini-flash-latest"


async def test_a_refusal_reaches_the_caller_with_its_advice(
    start_service: StartService, provider: FakeProvider, http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Status, request id and time to wait are the provider's; its key is nowhere."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-0123456789")
    error = {"type": "rate_limit_error", "message": "canary-0123456789 is too fast."}
    provider.answer(
        json_reply({"error": error}, 429, headers={"Retry-After": "7", "request-id": "req_1"})
    )
    anthropic = built_in_providers()["anthropic"].model_copy(update={"base_url": provider.url})
    service = await start_service(
        providers={"anthropic": anthropic}, models={"retries": RetriesSection(attempts=1)}
    )

    status, body = await generate(service, http, model="claude-99")

    assert (status, body["code"], body["retryable"]) == (429, "rate_limited", True)
    assert (body["upstream_status"], body["upstream_request"]) == (429, "req_1")
    assert body["retry_after_ms"] == 7000
    assert "canary" not in str(body)


async def test_cancelling_a_run_closes_the_connection_upstream(
    start_service: StartService, provider: FakeProvider, http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """In the middle of an answer, within a second of the caller's word."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-0123456789")
    provider.answer(Reply(ANTHROPIC[:-3], end="hold"))
    anthropic = built_in_providers()["anthropic"].model_copy(update={"base_url": provider.url})
    service = await start_service(providers={"anthropic": anthropic})

    body = {"prompt": "Hi", "model": "anthropic/claude-99"}
    async with http.post(f"{service.url}/v1/generate", json=body, headers=SSE) as stream:
        async for event in sse_events(stream):
            if event.payload["type"] == "text.delta":
                run = event.payload["run"]
                await http.post(f"{service.url}/v1/runs/{run}/cancel")
                break
        async with asyncio.timeout(1):
            await provider.gone.wait()
