"""Which component is missing, and which only fails."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import llm
import pytest

from llm_stream.config import LocalSection, ProviderSection
from llm_stream.testing import ScriptedModel
from llm_stream.testing.mockproviders import MockProviders
from llm_stream.testing.service import RunningService, running_service

from ..conftest import StartService, settings
from ..redisserver import RedisServer

Start = Callable[..., Awaitable[RunningService]]
NO_WEIGHTS = LocalSection(enabled=True, weights="/nowhere.gguf")


class Locked(ScriptedModel, llm.AsyncKeyModel):
    """A model whose key nobody has."""

    needs_key = "locked"

    async def execute(self, *_args: Any, **_kwargs: Any) -> AsyncGenerator[Any]:
        raise AssertionError("nobody asks it")
        yield


@pytest.fixture
async def bare() -> AsyncIterator[Start]:
    """Start a service with these models only and, if asked, an embedded one without weights."""
    async with AsyncExitStack() as stack:

        async def start(*models: Any, local: bool = False, **sections: Any) -> RunningService:
            chosen = settings(**sections)
            if local:
                chosen = chosen.model_copy(update={"local": NO_WEIGHTS})
            return await stack.enter_async_context(running_service(chosen, models))

        yield start


async def ready(http: aiohttp.ClientSession, service: RunningService) -> Any:
    """Status, what is missing, what is degraded."""
    async with http.get(f"{service.url}/readyz") as response:
        told = await response.json()
        assert told["ready"] is (response.status == 200) is (not told["missing"])
        return response.status, told["missing"], told["degraded"]


@pytest.mark.parametrize(
    ("models", "local", "told"),
    [
        ((), False, (503, ["models"], ["default_model"])),
        ((Locked,), False, (503, ["models"], ["default_model"])),
        ((), True, (503, ["models", "weights"], ["default_model"])),
        ((Locked,), True, (503, ["models", "weights"], ["default_model"])),
        ((ScriptedModel,), False, (200, [], [])),
        ((ScriptedModel, Locked), True, (200, [], ["weights"])),
    ],
)
async def test_a_model_that_can_answer_is_needed(
    bare: Start, http: aiohttp.ClientSession, models: Any, local: Any, told: Any
) -> None:
    """A model without its key, or without its weights, is none."""
    names = {ScriptedModel: "scripted", Locked: "locked"}
    service = await bare(*(kind(names[kind]) for kind in models), local=local)

    assert await ready(http, service) == told


async def test_a_default_that_names_nothing_is_told(
    bare: Start, http: aiohttp.ClientSession
) -> None:
    """Other models answer, so the service stays."""
    service = await bare(ScriptedModel("scripted"), models={"default": "gone"})

    assert await ready(http, service) == (200, [], ["default_model"])


async def test_redis_is_told_while_it_is_gone(
    start_service: StartService, http: aiohttp.ClientSession, redis_server: RedisServer
) -> None:
    """Runs go on without it, so the service stays; when it is back, nothing is told."""
    service = await start_service(redis={"url": redis_server.url})

    async def told_of(degraded: list[str]) -> None:
        while (told := await ready(http, service)) != (200, [], degraded):
            assert told[:2] == (200, [])

    await told_of([])
    redis_server.kill()
    await told_of(["redis"])
    redis_server.start()
    await told_of([])


async def test_a_cache_that_does_not_answer_is_told(
    start_service: StartService, http: aiohttp.ClientSession, redis_server: RedisServer
) -> None:
    """Requests go on without it."""
    service = await start_service(cache={"url": redis_server.url})
    redis_server.kill()
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "x"}) as response:
        assert response.status == 200

    assert await ready(http, service) == (200, [], ["cache"])


async def test_a_history_that_fails_is_told(
    start_service: StartService, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Runs wait to be recorded."""
    service = await start_service(history={"enabled": True, "path": str(tmp_path)})
    while (told := await ready(http, service)) != (200, [], ["history"]):
        assert told == (200, [], [])


async def test_a_provider_whose_probe_fails_is_told(
    start_service: StartService,
    http: aiohttp.ClientSession,
    mocks: MockProviders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anybody has asked it, and until it answers; other models answer meanwhile."""
    monkeypatch.setenv("MOCK_KEY", "sk-0123456789")
    await mocks.refuse()
    section = ProviderSection(
        base_url=mocks.openai_url, api_key_env=("MOCK_KEY",), probe_seconds=0.02
    )
    service = await start_service(providers={"p": section})

    async def told_of(degraded: list[str]) -> None:
        while (told := await ready(http, service)) != (200, [], degraded):
            assert told[:2] == (200, [])

    await told_of(["provider:p"])
    await mocks.accept()
    await told_of([])
    async with http.get(f"{service.url}/metrics") as response:
        text = await response.text()
    assert 'llm_stream_probes_total{code="ok",provider="p"}' in text
    assert 'llm_stream_probes_total{code="upstream_failed",provider="p"}' in text


async def test_a_provider_whose_calls_fail_is_told(
    start_service: StartService,
    http: aiohttp.ClientSession,
    mocks: MockProviders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also without probes: it is left alone, and nobody knows that it is back."""
    monkeypatch.setenv("MOCK_KEY", "sk-0123456789")
    section = ProviderSection(base_url=mocks.openai_url, api_key_env=("MOCK_KEY",))
    once = {"failures": 9, "provider_failures": 2}
    service = await start_service(
        providers={"p": section}, models={"breaker": once, "retries": {"attempts": 1}}
    )
    for model in ("p/mock-503", "p/mock-500"):
        asked = {"prompt": "x", "model": model}
        async with http.post(f"{service.url}/v1/generate", json=asked) as response:
            assert response.status == 502

    assert await ready(http, service) == (200, [], ["provider:p"])


async def test_nobody_is_probed_unasked(start_service: StartService, mocks: MockProviders) -> None:
    """By default, and of models that a plugin asks: only a call reaches the provider."""
    sections = {
        "p": ProviderSection(base_url=mocks.openai_url),
        "q": ProviderSection(base_url=mocks.openai_url, transport="plugin", probe_seconds=0.01),
        "r": ProviderSection(base_url=mocks.anthropic_url, kind="anthropic", probe_seconds=0.01),
    }
    await start_service(providers=sections)
    await mocks.until(lambda seen: len(seen.requests) > 3)

    assert {request.path for request in mocks.requests} == {"/anthropic/v1/models?limit=1"}
