"""Which component is missing, and which only fails."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import llm
import pytest

from llm_stream.config import LocalSection
from llm_stream.testing import ScriptedModel
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
