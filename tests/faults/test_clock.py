"""Fault 24: the wall clock jumps by an hour; nothing expires early, nothing is stuck.

A jump does not reach what was given `time.time` itself, as `clock=time.time` in `access` and
`history.reuses`: what that is good for is listed, and looked at by the last test alone.
"""

import ast
import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
import redis

import llm_stream
from llm_stream.testing import Fault, Script, ScriptedModel, words

from ..conftest import StartService
from ..redisserver import RedisServer
from ..wire import follow, reached, shared, start_async
from .gated import GatedModel

HOUR = 3600
ROOT = Path(llm_stream.__file__).parent

WALL_CLOCK = {
    "access.clientfile": "the date by which a client key has expired",
    "access.counters": "which minute, which day it is",
    "access.limits": "when that minute or day ends",
    "cache.redisshelf": "entries older than so long, by the time they were stored",
    "cache.stored": "the age of an entry that another process has stored",
    "engine.redislog.elsewhere": "whether an unknown run may be too new to be known",
    "engine.redislog.takeover": "`t_ms` of the event that ends a lost replica's run",
    "engine.recording": "when a recorded run was created, told again",
    "history.history": "when a run was recorded; answers younger than so long",
    "history.reuses": "the minute in which a call is counted",
    "history.sidetable": "rows older than so long",
    "history.turns": "the time that a row tells",
    "logs": "the time that a line tells",
    "models.wires.ratelimits": "dates that providers send",
    "models.wires.refusals": "dates that providers send",
    "naming": "ULIDs sort by the time they were made",
    "recipes.description": "when a run was created, for who reads it",
    "web.express": "the date in the head of an answer",
    "web.entries": "the time that a list tells",
    "web.usage": "since when the account is asked for",
    "web.views": "the time that a snapshot tells",
}
"""Modules that read the wall clock, and what for: dates told to people and other processes."""


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the wall clock of this process forward or back; the monotonic one goes on."""
    real = time.time

    def jump(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + seconds)

    return jump


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
async def test_nothing_expires_when_the_clock_jumps(
    start_service: StartService,
    http: aiohttp.ClientSession,
    model: ScriptedModel,
    jump: Callable[[float], None],
    seconds: float,
) -> None:
    """A run under way, an ended one, an idempotency key and a cached answer are still there."""
    service = await start_service(
        runs={"retention_seconds": HOUR / 2}, cache={"ttl_seconds": HOUR / 2}
    )
    model.scripts = [Script(), Script(chunks=words(20), fault=Fault(at=10, stall=True)), Script()]
    key = {"Idempotency-Key": "k"}
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "a"}, headers=key) as first:
        ended = (await first.json())["id"]
    live, _ = await start_async(http, service.url, prompt="b", timeouts={"total_seconds": HOUR / 2})
    await reached(service.parts.registry.find(live), 11)
    jump(seconds)

    assert len(await follow(http, service.url, ended)) == 7
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "a"}, headers=key) as again:
        assert (await again.json())["id"] == ended
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "a"}) as hit:
        assert (await hit.json())["cached"] is True
    async with http.get(f"{service.url}/v1/runs/{live}") as response:
        assert (await response.json())["state"] == "running"
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "c"}) as new:
        assert new.status == 200
    assert len(model.calls) == 3


@pytest.mark.slow
async def test_replicas_do_not_mind_each_others_clocks(
    redis_server: RedisServer,
    start_service: StartService,
    http: aiohttp.ClientSession,
    jump: Callable[[float], None],
) -> None:
    """Signs of life and leases go by Redis' clock: no run is taken over, no call is stuck."""
    gated = GatedModel("a", "b")
    section = {"url": redis_server.url, "owner_lost_seconds": 2}
    ours, theirs = [await start_service(gated, redis=section) for _ in range(2)]
    asked = {"prompt": "x", "model": "gated", "cache": {"mode": "use", "ttl_seconds": HOUR / 2}}
    run, _ = await start_async(http, ours.url, **asked)
    await shared(ours)
    watches = [replicas.watch for s in (ours, theirs) if (replicas := s.parts.replicas)]
    jump(HOUR)
    joined, _ = await start_async(http, theirs.url, **asked)
    with redis.Redis(port=redis_server.port) as client:
        for seconds in (HOUR, -HOUR):
            jump(seconds)
            # By Redis' clock, as signs of life: long enough for one to expire, and to be missed.
            await asyncio.to_thread(client.blpop, ["nothing"], timeout=2)
    gated.gate.set()
    ends = [await follow(http, service.url, run) for service in (ours, theirs)]
    again = dict(asked, cache={"mode": "bypass"})
    async with http.post(f"{theirs.url}/v1/generate", json=again) as response:
        assert response.status == 200

    assert ends[0] == ends[1]
    assert ends[0][-1].payload["type"] == "run.completed"
    assert joined == run
    assert [watch.taken for watch in watches] == [0, 0]


def reads_of_the_wall_clock(tree: ast.Module) -> Iterator[str]:
    """Calls of `time.time`, `time.time_ns`, `datetime.now` and their like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if name in {
                "time.time", "time.time_ns", "datetime.now", "datetime.utcnow",
                "datetime.today", "datetime.fromtimestamp",
            }:  # fmt: skip
                yield name


def test_durations_are_not_measured_by_the_wall_clock() -> None:
    """Who reads it is listed with the reason: dates, never how long something may take."""
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in ROOT.rglob("*.py")
        if [*reads_of_the_wall_clock(ast.parse(path.read_text("utf-8")))]
    }

    assert {name for name in found if not name.startswith("testing.")} == set(WALL_CLOCK)
