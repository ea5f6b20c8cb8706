"""Leases on calls: who has one, who may join, and what becomes of one whose holder is gone."""

from typing import Any

import aiohttp
import pytest
import redis

from llm_stream.testing import Fault, Script, ScriptedModel

from ..conftest import StartService
from ..redisserver import RedisServer
from ..standin import KEYS, OTHER, other_replica
from ..wire import ended, reached, shared, start_async, until

STALL = Script(fault=Fault(at=1, stall=True))


@pytest.fixture
async def pair(redis_server: RedisServer, start_service: StartService) -> Any:
    """Two services that share a Redis, for their runs and their caches."""
    shared = {"url": redis_server.url}
    return [await start_service(redis=shared, cache=shared) for _ in range(2)]


def leases(server: RedisServer) -> list[bytes]:
    """The leases there are."""
    with redis.Redis(port=server.port) as client:
        found: list[bytes] = client.keys(KEYS.flight("*"))
        return found


async def give_away(http: aiohttp.ClientSession, service: Any, server: RedisServer) -> None:
    """Make another replica the holder of the lease on the call `x`; nothing is in the cache."""
    run, _ = await start_async(http, service.url, prompt="x")
    held = service.parts.registry.find(run)
    await ended(held)
    await shared(service)
    async with http.post(f"{service.url}/v1/cache/invalidate", json={"all": True}) as response:
        assert response.status == 200
    with redis.Redis(port=server.port) as client:
        client.set(KEYS.flight(held.info.key), OTHER)


async def test_a_bypass_frees_no_lease(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel, redis_server: RedisServer
) -> None:
    """A run that nobody may join ends, and an equal one that has the lease is still joined."""
    ours, theirs = pair
    model.scripts = [STALL, Script()]
    run, _ = await start_async(http, ours.url, prompt="x")
    await reached(ours.parts.registry.find(run), 2)
    bypass = {"prompt": "x", "cache": {"mode": "bypass"}}
    async with http.post(f"{ours.url}/v1/generate", json=bypass) as response:
        assert response.status == 200
        await response.read()
    await shared(ours)

    joined, _ = await start_async(http, theirs.url, prompt="x")

    assert joined == run
    assert len(model.calls) == 2


async def test_an_end_frees_the_lease(
    pair: Any, http: aiohttp.ClientSession, redis_server: RedisServer
) -> None:
    """Nothing stays of a call that has ended."""
    run, _ = await start_async(http, pair[0].url, prompt="x")
    await ended(pair[0].parts.registry.find(run))
    await shared(pair[0])

    assert leases(redis_server) == []


async def test_nobody_joins_a_call_from_before_an_invalidation(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """After one, an equal call on the other replica is a call of its own, and is joined itself."""
    ours, theirs = pair
    model.scripts = [STALL, STALL]
    void, _ = await start_async(http, ours.url, prompt="x")
    await reached(ours.parts.registry.find(void), 2)
    async with http.post(f"{ours.url}/v1/cache/invalidate", json={"all": True}) as response:
        assert response.status == 200

    fresh, _ = await start_async(http, theirs.url, prompt="x")
    again, _ = await start_async(http, ours.url, prompt="x")

    assert fresh != void
    assert again == fresh
    assert len(model.calls) == 2


async def test_a_holder_that_says_nothing_is_asked_once(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel, redis_server: RedisServer
) -> None:
    """The lease of a frozen replica is taken at once; it is told to forget what it hears late."""
    await give_away(http, pair[0], redis_server)
    with redis.Redis(port=redis_server.port) as client, client.pubsub() as inbox:
        client.set(KEYS.alive(OTHER), "1")
        inbox.subscribe(KEYS.inbox(OTHER))
        async with http.post(f"{pair[0].url}/v1/generate", json={"prompt": "x"}) as response:
            assert response.status == 200
        await shared(pair[0])
        said = []
        while message := inbox.get_message(timeout=0.1):
            said.append(str(message["data"]))

    assert leases(redis_server) == []
    assert len(model.calls) == 2
    assert sum('"do":"join"' in text for text in said) == 1
    assert sum('"do":"forget"' in text for text in said) == 1


async def test_a_run_that_cannot_be_read_is_not_joined(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel, redis_server: RedisServer
) -> None:
    """Where the other replica's run is not found, each joining is taken back."""
    await give_away(http, pair[0], redis_server)
    async with other_replica(redis_server, join={"run": "run_gone"}) as heard:
        async with http.post(f"{pair[0].url}/v1/generate", json={"prompt": "x"}) as response:
            assert response.status == 200
        joins = [m["claim"] for m in heard if m["do"] == "join"]
        await until(lambda: len(heard) >= 2 * len(joins))

    assert joins
    taken_back = [(m["run"], m["claim"]) for m in heard if m["do"] == "forget"]
    assert taken_back == [("run_gone", claim) for claim in joins]
    assert len(model.calls) == 2
