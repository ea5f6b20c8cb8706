"""What is over leaves memory at once: no cycle keeps it until the collector comes by."""

import gc
from collections import Counter
from typing import Any

import aiohttp
import pytest

from llm_stream.config import BreakerSection
from llm_stream.testing import Fault, Script, ScriptedModel

from ..conftest import StartService
from ..redisserver import RedisServer
from ..wire import SSE, WsClient, shared, sse_events

OURS = "llm_stream."


async def by_json(http: aiohttp.ClientSession, url: str, prompt: str) -> None:
    """One answer in one piece."""
    async with http.post(f"{url}/v1/generate", json={"prompt": prompt}) as response:
        assert response.status in {200, 502}


async def by_sse(http: aiohttp.ClientSession, url: str, prompt: str) -> None:
    """One stream."""
    async with http.post(f"{url}/v1/generate", json={"prompt": prompt}, headers=SSE) as response:
        assert [event async for event in sse_events(response)]


async def by_socket(http: aiohttp.ClientSession, url: str, prompt: str) -> None:
    """One stream on a socket of its own."""
    ws = await WsClient.connect(http, url)
    await ws.ask(type="start", id="1", stream="a", input={"prompt": prompt})
    await ws.end_of("a")
    await ws.ws.close()


def kept() -> Counter[str]:
    """How many objects of ours the collector knows, by class."""
    # Among millions of others, so that only classes are looked at closely.
    classes = Counter(map(type, gc.get_objects()))
    found = Counter[str]()
    for each, count in classes.items():
        found[f"{each.__module__}.{each.__qualname__}"] += count
    return Counter({n: c for n, c in found.items() if n.startswith(OURS)})


@pytest.mark.slow
@pytest.mark.parametrize("fault", [None, Fault(at=2, error=ConnectionError("reset"))])
@pytest.mark.parametrize("ask", [by_json, by_sse, by_socket])
@pytest.mark.parametrize("replicated", [False, True], ids=["memory", "redis"])
async def test_what_has_expired_is_gone(
    redis_server: RedisServer,
    start_service: StartService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
    ask: Any,
    fault: Fault | None,
    replicated: bool,
) -> None:
    """Runs that are no longer kept, well ended or failed, and their readers need no collector."""
    model.scripts = [Script(fault=fault)]
    service = await start_service(
        models={"breaker": BreakerSection(failures=1000)},
        runs={"retention_bytes": 1},
        cache={"enabled": False},
        redis={"url": redis_server.url if replicated else ""},
    )
    for _ in range(3):
        await ask(http, service.url, "x")
    model.calls.clear()
    gc.collect()
    gc.disable()
    try:
        before = kept()
        for _ in range(20):
            await ask(http, service.url, "x")
        model.calls.clear()
        if replicated:
            await shared(service)
        grown = kept() - before
    finally:
        gc.enable()

    # The last ones may be still on their way out.
    assert {name: count for name, count in grown.items() if count > 10} == {}
