"""Runs of a replica that is gone, once another has taken them over: like any run of its own."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis

from llm_stream.events import kind_of
from llm_stream.models.chunks import Message
from llm_stream.recipes.spec import RunSpec
from llm_stream.testing import Fault, Script, ScriptedModel, words

from ..conftest import StartService
from ..history.conftest import rows
from ..problem import owner_lost
from ..redisserver import RedisServer
from ..standin import KEYS, OTHER, RUN, of_another, other_replica, took_over
from ..wire import follow, reached, start_async, until

SPEC = RunSpec(recipe="generate", model="scripted", messages=(Message("user", "x"),))


def lose(server: RedisServer, spec: RunSpec | None) -> None:
    """Put a run of a replica that is gone into Redis, and its lease on the call."""
    of_another(server, spec, lives=False)
    with redis.Redis(port=server.port) as client:
        client.set(KEYS.flight(SPEC.fingerprint()), OTHER)


async def start(
    start_service: StartService, server: RedisServer, policy: str, history: Path
) -> list[Any]:
    """Two services that share the Redis and a history, and soon see that the replica is gone."""
    lost = {"url": server.url, "owner_lost_seconds": 2, "on_owner_lost": policy}
    recorded = {"enabled": True, "path": str(history)}
    shared = {"url": server.url}
    return [await start_service(redis=lost, cache=shared, history=recorded) for _ in range(2)]


async def recorded(services: list[Any], path: Path) -> Any:
    """What the history says of runs, once it has written one."""
    await until(lambda: sum(service.parts.history.facts().written for service in services))
    return rows(path, "SELECT run, status, error_code FROM llm_stream_runs")


@pytest.mark.slow
async def test_an_equal_call_joins_a_restarted_run(
    redis_server: RedisServer,
    start_service: StartService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
    tmp_path: Path,
) -> None:
    """Wherever it comes in: one model call, one answer, in the cache and in the history once."""
    model.scripts = [Script(chunks=words(20), delay_seconds=0.05)]
    lose(redis_server, SPEC)
    path = tmp_path / "logs.db"
    pair = await start(start_service, redis_server, "restart", path)
    await until(lambda: sum(service.parts.replicas.watch.taken for service in pair))
    await until(lambda: any(service.parts.registry.get(RUN) for service in pair))
    taker = next(service for service in pair if service.parts.registry.get(RUN))
    await reached(taker.parts.registry.get(RUN), 5)

    joined = [(await start_async(http, service.url, prompt="x"))[0] for service in pair]
    events = [await follow(http, service.url, RUN) for service in pair]
    async with http.post(f"{pair[0].url}/v1/generate", json={"prompt": "x"}) as response:
        again = await response.json()

    assert joined == [RUN, RUN]
    assert events[0] == events[1]
    assert events[0][-1].payload["type"] == "run.completed"
    assert len(model.calls) == 1
    assert again["cached"] is True
    assert again["text"] == "".join(words(20))
    assert await recorded(pair, path) == [(RUN, "completed", None)]


@pytest.mark.slow
async def test_readers_from_before_count_at_a_restarted_run(
    redis_server: RedisServer,
    start_service: StartService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
    tmp_path: Path,
) -> None:
    """Who reads a lost run, at its taker or elsewhere, keeps it from being given up."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    lose(redis_server, SPEC)
    pair = await start(start_service, redis_server, "restart", tmp_path / "logs.db")
    readers = [asyncio.create_task(follow(http, service.url, RUN)) for service in pair]

    def counted() -> list[int]:
        runs = [service.parts.registry.get(RUN) for service in pair]
        return [run.readers for run in runs if run is not None]

    await until(lambda: counted() == [2])
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await until(lambda: counted() == [0])


async def test_an_end_that_came_too_late_is_not_shown_again(
    redis_server: RedisServer,
    start_service: StartService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
) -> None:
    """A run that ended here after it was taken over ends for later readers as it does elsewhere."""
    service = await start_service(redis={"url": redis_server.url})
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    run, _ = await start_async(http, service.url, prompt="x", on_disconnect="continue")
    held, sharing = service.parts.registry.find(run), service.parts.replicas
    assert sharing is not None
    await reached(held, 2)
    await until(lambda: not sharing.mirror.behind)
    problem = owner_lost("The replica is gone.")
    took_over(redis_server, run, {"type": "run.failed", "error": problem}, state="failed")
    held.cancel("requested")
    await until(lambda: held.superseded)

    assert kind_of(held.events()[-1]) == "run.cancelled"
    assert (await follow(http, service.url, run))[-1].id == "2-1"
    async with http.get(f"{service.url}/v1/runs/{run}") as response:
        assert (await response.json())["state"] == "failed"


@pytest.mark.slow
async def test_who_handed_a_run_on_still_counts_as_its_reader(
    redis_server: RedisServer,
    start_service: StartService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
) -> None:
    """Readers of a frozen owner's run are told of to who has taken it, which would give it up."""
    service = await start_service(redis={"url": redis_server.url, "owner_lost_seconds": 2})
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    run, _ = await start_async(http, service.url, prompt="x", on_disconnect="continue")
    held, sharing = service.parts.registry.find(run), service.parts.replicas
    assert sharing is not None
    await reached(held, 2)
    await until(lambda: not sharing.mirror.behind)
    async with other_replica(redis_server) as heard:
        with held.subscribe():
            took_over(redis_server, run, {"type": "run.restarted", "reason": "owner_lost"})
            sharing.mirror.check([held])
            await until(lambda: any(message["do"] == "follow" for message in heard))

    assert next(message["runs"] for message in heard if message["do"] == "follow") == [run]


@pytest.mark.slow
@pytest.mark.parametrize("spec", [None, SPEC], ids=["request unknown", "request kept"])
async def test_a_lost_run_is_in_the_history(
    redis_server: RedisServer, start_service: StartService, tmp_path: Path, spec: RunSpec | None
) -> None:
    """The taker records a run that it ends as `owner_lost`, whether it knows the request or not."""
    of_another(redis_server, spec, lives=False)
    path = tmp_path / "logs.db"
    pair = await start(start_service, redis_server, "fail", path)

    assert await recorded(pair, path) == [(RUN, "failed", "owner_lost")]
