"""Fault 4: whatever becomes of Redis, streams here go on, and what it lacks is written again."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis

from llm_stream.engine.redislog.records import Keys, Record, write_events, write_facts
from llm_stream.engine.runinfo import RunInfo
from llm_stream.events import encoded
from llm_stream.naming import ulid
from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..redisserver import RedisServer
from ..wire import SSE, WsClient, follow, reached, shared, sse_events, start_async, until

CHUNKS = 150


class HeldModel(ScriptedModel):
    """Says 50 words, then waits for the test before it says the rest."""

    def __init__(self) -> None:
        super().__init__("held", Script(chunks=words(CHUNKS)))
        self.go = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        if self.calls[-1].said >= 50:
            await self.go.wait()
        await asyncio.sleep(0)


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis; one that keeps its data if the test says so."""
    server = RedisServer(tmp_path, persistent=getattr(request, "param", False))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def held(server: RedisServer, start_service: StartService) -> Any:
    """Two services, and a model that waits in mid-answer."""
    model = HeldModel()
    return [await start_service(model, redis={"url": server.url}) for _ in range(2)], model


async def begin(http: aiohttp.ClientSession, service: RunningService) -> str:
    """A run whose model waits after 50 words, all of them in Redis."""
    run, _ = await start_async(
        http, service.url, prompt="x", model="held", on_disconnect="continue"
    )
    await reached(service.parts.registry.find(run), 51)
    await shared(service)
    return run


async def health(http: aiohttp.ClientSession, service: RunningService) -> Any:
    """What /health says of runs."""
    async with http.get(f"{service.url}/health") as response:
        return (await response.json())["runs"]


@pytest.mark.slow
@pytest.mark.parametrize("server", [True, False], indirect=True, ids=["with data", "empty"])
async def test_redis_is_killed_and_comes_back(
    held: Any, server: RedisServer, http: aiohttp.ClientSession
) -> None:
    """Killed in mid-run and restarted: here nothing is noticed, elsewhere nothing is missing."""
    (ours, theirs), model = held
    run = await begin(http, ours)
    there = asyncio.create_task(follow(http, theirs.url, run))
    await until(lambda: theirs.parts.replicas.tail.runs)
    server.kill()
    model.go.set()

    here = await follow(http, ours.url, run)
    assert len(here) == CHUNKS + 3
    assert not there.done()
    server.start()
    async with asyncio.timeout(10):
        assert await there == here
    assert await follow(http, theirs.url, run) == here
    await shared(ours)
    assert (await health(http, ours))["durable"] is True


@pytest.mark.redis_limit
@pytest.mark.slow
async def test_redis_stalls(held: Any, server: RedisServer, http: aiohttp.ClientSession) -> None:
    """While it answers nothing, streams go on, runs start, and /health says what is not durable."""
    (ours, theirs), model = held
    run = await begin(http, ours)
    loop = asyncio.get_running_loop()
    with server.frozen():
        model.go.set()
        here = await follow(http, ours.url, run)
        began = loop.time()
        async with http.post(f"{ours.url}/v1/generate", json={"prompt": "new"}) as response:
            assert response.status == 200
        assert loop.time() - began < 1
        began = loop.time()
        async with http.get(f"{ours.url}/livez") as response:
            assert response.status == 200
        assert loop.time() - began < 0.05
        assert (await health(http, ours))["durable"] is False
        async with http.get(f"{theirs.url}/v1/runs/{run}") as response:
            assert (response.status, (await response.json())["code"]) == (503, "log_unavailable")
    await shared(ours)
    await shared(theirs)

    assert await follow(http, theirs.url, run) == here


@contextmanager
def full(client: Any) -> Iterator[None]:
    """It has no room for anything."""
    client.config_set("maxmemory", 1)
    yield
    client.config_set("maxmemory", 0)


@contextmanager
def read_only(client: Any) -> Iterator[None]:
    """It has become a replica of nobody."""
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    yield
    client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.slow
@pytest.mark.parametrize("state", [full, read_only])
async def test_redis_takes_no_writes(
    held: Any, server: RedisServer, http: aiohttp.ClientSession, state: Any
) -> None:
    """Full or read-only: streams go on, it is told, and when it takes writes again it gets all."""
    (ours, theirs), model = held
    run = await begin(http, ours)
    with redis.Redis(port=server.port) as client, state(client):
        model.go.set()
        here = await follow(http, ours.url, run)
        assert len(here) == CHUNKS + 3
        await ours.parts.replicas.mirror.catch_up()
        assert (await health(http, ours))["durable"] is False
    await shared(ours)

    assert await follow(http, theirs.url, run) == here


@pytest.mark.slow
async def test_lost_events_are_told(
    held: Any, server: RedisServer, http: aiohttp.ClientSession
) -> None:
    """Behind events that are gone a reader gets `gap` with the first cursor left, and goes on."""
    (ours, theirs), model = held
    model.go.set()
    run = await begin(http, ours)
    everything = await follow(http, ours.url, run)
    await shared(ours)
    key = f"llm-stream:{{{run}}}:log"
    with redis.Redis(port=server.port) as client:
        client.xtrim(key, minid="1-40", approximate=False)
        client.xdel(key, *(f"1-{seq}" for seq in range(60, 70)))

    async with http.get(
        f"{theirs.url}/v1/runs/{run}/events", params={"after": "1-5"}, headers=SSE
    ) as response:
        seen = [event async for event in sse_events(response)]

    gaps = [event.payload for event in seen if event.event == "gap"]
    assert gaps == [{"after": "1-5", "first": "1-40"}, {"after": "1-59", "first": "1-70"}]
    assert seen[0].event == "gap"
    events = [event for event in seen if event.event is None]
    assert events == everything[39:59] + everything[69:]

    async with http.get(
        f"{theirs.url}/v1/runs/{run}/events", params={"after": "1-5", "limit": 1000}
    ) as response:
        page = await response.json()
    assert page["gap"] == gaps[0]
    assert [event["id"] for event in page["events"]] == [f"1-{seq}" for seq in range(40, 60)]
    assert page["more"] is True
    async with http.get(f"{theirs.url}/v1/runs/{run}") as response:
        assert (await response.json())["incomplete"] is True

    ws = await WsClient.connect(http, theirs.url)
    await ws.ask(type="subscribe", id="1", streams=[{"stream": "a", "run": run, "after": "1-5"}])
    assert await ws.end_of("a") == [event.data for event in events]
    assert [frame for frame in ws.others if frame["type"] == "gap"] == [
        {"type": "gap", "stream": "a", **gap} for gap in gaps
    ]
    await ws.ws.close()
    # Two on each stream, one in the page.
    assert theirs.parts.metrics.gaps.collect()[0].samples[0].value == 5


@pytest.mark.slow
async def test_a_run_that_may_not_be_shared_yet_is_not_denied(
    held: Any, server: RedisServer, http: aiohttp.ClientSession
) -> None:
    """A new id, and after an outage any: 503 `log_unavailable`, to be tried again, and no 404."""
    (ours, theirs), _ = held

    async def told(run: str) -> tuple[int, str]:
        async with http.get(f"{theirs.url}/v1/runs/{run}") as response:
            return response.status, (await response.json())["code"]

    old = "run_01KAQ8Z3M5XW2T9V7B4C6D8E0F"
    assert await told(f"run_{ulid()}") == (503, "log_unavailable")
    server.kill()
    run, _ = await start_async(http, ours.url, prompt="x")
    assert await told(run) == (503, "log_unavailable")
    server.start()
    await shared(theirs)
    assert await told(old) == (503, "log_unavailable")
    await shared(ours)
    async with http.get(f"{theirs.url}/v1/runs/{run}") as response:
        assert response.status == 200


async def test_an_expired_run_is_gone_everywhere(
    held: Any, server: RedisServer, http: aiohttp.ClientSession
) -> None:
    """When its log is no longer kept, the other replica says 410."""
    (ours, theirs), model = held
    model.go.set()
    run = await begin(http, ours)
    await follow(http, ours.url, run)
    await shared(ours)
    with redis.Redis(port=server.port) as client:
        client.delete(f"llm-stream:{{{run}}}:log")

    async with http.get(f"{theirs.url}/v1/runs/{run}/events", headers=SSE) as response:
        assert (response.status, (await response.json())["code"]) == (410, "run_expired")


async def test_without_redis_it_starts_and_serves(
    tmp_path: Path, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """A Redis that is not there when the service starts costs durability, nothing else."""
    server = RedisServer(tmp_path)
    service = await start_service(redis={"url": server.url})

    async with http.post(f"{service.url}/v1/generate", json={"prompt": "x"}) as response:
        assert response.status == 200
    async with http.get(f"{service.url}/v1/runs/run_x") as response:
        assert response.status == 503
    assert (await health(http, service))["durable"] is False


@pytest.mark.slow
async def test_readers_of_what_nobody_has_any_more_are_told(
    redis_server: RedisServer, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Redis has lost the end of a run that its owner has forgotten: it failed, for its readers."""
    ours, theirs = [
        await start_service(redis={"url": redis_server.url, "owner_lost_seconds": 1})
        for _ in range(2)
    ]
    assert ours.parts.replicas is not None
    info = RunInfo(id=f"run_{ulid()}", recipe="generate", model="m", key="k")
    keys, owner = Keys("llm-stream"), ours.parts.replicas.id
    started = encoded(1, 1, info.id, 0, info.started())
    await ours.parts.replicas.link.ask(
        [
            *write_events(keys, info.id, [started]),
            *write_facts(keys, Record(info, owner, 1, "running", {})),
        ]
    )
    there = asyncio.create_task(follow(http, theirs.url, info.id))
    replicas = theirs.parts.replicas
    await until(lambda: replicas is not None and replicas.tail.runs)
    await ours.parts.replicas.link.ask(
        [
            ("DEL", keys.log(info.id), keys.facts(info.id)),
            ("SREM", keys.working(owner), info.id),
        ]
    )

    last = (await there)[-1].payload
    assert last["type"] == "run.failed"
    assert last["error"]["code"] == "owner_lost"
