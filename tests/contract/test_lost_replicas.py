"""Faults 1, 2 and 5: a replica is killed or frozen in mid-stream, and its readers go on."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis import Redis

from llm_stream.testing import words
from llm_stream.testing.mockproviders import MockProviders, mock_providers

from ..redisserver import RedisServer
from ..replica import Replica, replicas
from ..standin import KEYS
from ..wire import SSE, SseEvent, follow, sse_events, start_async

LOST_SECONDS = 2
FROZEN_SECONDS = 30


@pytest.fixture
async def mocks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MockProviders]:
    """Providers on this machine, with a key for them."""
    monkeypatch.setenv("MOCK_KEY", "sk-mock-key-1234567890")
    async with mock_providers() as mocks:
        yield mocks


@pytest.fixture
def pair(redis_server: RedisServer, tmp_path: Path) -> Any:
    """Two processes that share a Redis; their model says 400 words in 4 seconds."""
    redis = {"url": redis_server.url, "owner_lost_seconds": LOST_SECONDS}
    with replicas(tmp_path, chunks=400, redis=redis) as started:
        yield started


async def read_some(http: aiohttp.ClientSession, url: str, run: str, count: int) -> list[SseEvent]:
    """The first events of a run."""
    seen: list[SseEvent] = []
    async with http.get(f"{url}/v1/runs/{run}/events", headers=SSE) as response:
        async for event in sse_events(response):
            seen.append(event)
            if len(seen) == count:
                return seen
    raise AssertionError(f"only {len(seen)} events")


async def read_rest(
    http: aiohttp.ClientSession, url: str, run: str, after: str
) -> tuple[list[SseEvent], list[str | None]]:
    """What follows a cursor: logged events and notices."""
    async with http.get(
        f"{url}/v1/runs/{run}/events", params={"after": after}, headers=SSE
    ) as response:
        assert response.status == 200, await response.text()
        events = [event async for event in sse_events(response)]
    return (
        [event for event in events if event.event is None],
        [event.event for event in events if event.event not in {None, "heartbeat"}],
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 10, 100])
async def test_readers_of_a_killed_owner_go_on_at_another_replica(
    pair: list[Replica], http: aiohttp.ClientSession, count: int
) -> None:
    """After kill -9 at event N, 50 readers get the rest once and one end: `owner_lost`, in time."""
    owner, other = pair
    run, _ = await start_async(http, owner.url, prompt="x", on_disconnect="continue")
    readers = await asyncio.gather(*(read_some(http, owner.url, run, count) for _ in range(50)))
    loop = asyncio.get_running_loop()
    owner.process.kill()
    killed_at = loop.time()

    async def resume(seen: list[SseEvent]) -> list[SseEvent]:
        rest, notices = await read_rest(http, other.url, run, seen[-1].id or "")
        assert notices == []
        return seen + rest

    wholes: list[list[SseEvent]] = await asyncio.gather(*map(resume, readers))

    assert loop.time() - killed_at < LOST_SECONDS + 5
    everything = await follow(http, other.url, run)
    end = everything[-1]
    assert end.id == "2-1"
    assert end.payload["type"] == "run.failed"
    assert end.payload["error"]["code"] == "owner_lost"
    assert [event.id for event in everything[:-1]] == [
        f"1-{seq}" for seq in range(1, len(everything))
    ]
    for whole in wholes:
        # What the owner has shown and had no time to share is not shown again.
        assert whole[-1] == end
        assert [event.id for event in whole[:-1]] == [f"1-{seq}" for seq in range(1, len(whole))]
        assert [e.data for e in whole[: len(everything) - 1]] == [e.data for e in everything[:-1]][
            : len(whole) - 1
        ]


@pytest.mark.slow
async def test_readers_of_a_killed_bystander_go_on_at_the_owner(
    pair: list[Replica], http: aiohttp.ClientSession
) -> None:
    """Killing a replica that only serves readers costs them a reconnect and no event."""
    owner, bystander = pair
    run, _ = await start_async(http, owner.url, prompt="x", on_disconnect="continue")
    seen = await read_some(http, bystander.url, run, 50)
    bystander.process.kill()

    rest, notices = await read_rest(http, owner.url, run, seen[-1].id or "")

    assert notices == []
    assert len(seen + rest) == 403
    assert [event.id for event in seen + rest] == [f"1-{seq}" for seq in range(1, 404)]
    assert rest[-1].payload["type"] == "run.completed"


@pytest.mark.slow
async def test_a_drain_loses_nothing_elsewhere(
    pair: list[Replica], http: aiohttp.ClientSession
) -> None:
    """SIGTERM lets the owner's run end; its reader on another replica gets all of it."""
    owner, other = pair
    run, _ = await start_async(http, owner.url, prompt="x", on_disconnect="continue")
    there = asyncio.create_task(follow(http, other.url, run))
    await read_some(http, owner.url, run, 20)
    owner.process.terminate()

    events = await there
    assert [event.id for event in events] == [f"1-{seq}" for seq in range(1, 404)]
    assert events[-1].payload["type"] == "run.completed"
    assert await asyncio.to_thread(owner.process.wait, 20) == 0
    assert await follow(http, other.url, run) == events


@pytest.mark.slow
async def test_a_zombie_is_fenced(pair: list[Replica], http: aiohttp.ClientSession) -> None:
    """An owner that was frozen for long finds its run taken over: one end, also on its own wire."""
    owner, other = pair
    run, _ = await start_async(http, owner.url, prompt="x", on_disconnect="continue")
    seen = await read_some(http, owner.url, run, 20)
    with owner.frozen():
        theirs, _ = await read_rest(http, other.url, run, seen[-1].id or "")
    ours, _ = await read_rest(http, owner.url, run, seen[-1].id or "")

    assert theirs[-1].payload["error"]["code"] == "owner_lost"
    assert ours[-1] == theirs[-1]
    assert [json.loads(e.data)["type"] for e in ours].count("run.failed") == 1
    shared = await follow(http, other.url, run)
    assert shared[-1] == theirs[-1]


@pytest.mark.soak
async def test_half_a_minute_of_stillness_costs_an_owner_its_run(
    redis_server: RedisServer, tmp_path: Path, http: aiohttp.ClientSession, mocks: MockProviders
) -> None:
    """A frozen owner whose run was taken over adds nothing, leaves its provider, tells one end.

    Its readers, who were there all the time, see the end that the others see.
    """
    provider = {"kind": "openai", "base_url": mocks.openai_url, "api_key_env": ["MOCK_KEY"]}
    redis = {"url": redis_server.url}
    with replicas(tmp_path, redis=redis, providers={"chat": provider}) as (owner, other):
        run, _ = await start_async(
            http, owner.url, prompt="x", model="chat/mock-pace-50-words-4000",
            on_disconnect="continue",
        )  # fmt: skip
        seen = await read_some(http, owner.url, run, 20)
        still_there = asyncio.create_task(read_rest(http, owner.url, run, seen[-1].id or ""))
        elsewhere = asyncio.create_task(read_rest(http, other.url, run, seen[-1].id or ""))
        with owner.frozen(), Redis(port=redis_server.port, socket_timeout=None) as client:
            frozen_at = seconds(client)
            theirs, _ = await elsewhere
            # To be still for so long is the fault.
            left = frozen_at + FROZEN_SECONDS - seconds(client)
            await asyncio.to_thread(client.blpop, ["nobody-writes-this"], timeout=left)
            assert seconds(client) >= frozen_at + FROZEN_SECONDS
            shared = client.xrange(KEYS.log(run))
        ours, _ = await still_there
        await mocks.until(lambda mocks: mocks.requests[0].closed_at is not None)
        with Redis(port=redis_server.port) as client:
            assert client.xrange(KEYS.log(run)) == shared
        async with http.get(f"{owner.url}/v1/runs/{run}") as response:
            state = (await response.json())["state"]

    assert theirs[-1].id == "2-1"
    assert theirs[-1].payload["error"]["code"] == "owner_lost"
    assert ours[-1] == theirs[-1]
    assert [event.payload["type"] for event in ours].count("run.failed") == 1
    assert "run.completed" not in {event.payload["type"] for event in ours}
    assert state == "failed"
    assert len(mocks.requests) == 1


def seconds(client: Redis) -> float:
    """The time by Redis' clock."""
    whole, millionths = client.time()
    return float(whole + millionths / 1e6)


@pytest.mark.slow
async def test_a_lost_run_is_run_again_where_that_is_the_policy(
    redis_server: RedisServer, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """After kill -9 its reader gets `run.restarted` in a new epoch, then the whole answer."""
    redis = {
        "url": redis_server.url, "owner_lost_seconds": LOST_SECONDS, "on_owner_lost": "restart",
    }  # fmt: skip
    with replicas(tmp_path, chunks=100, redis=redis) as (owner, other):
        run, _ = await start_async(http, owner.url, prompt="x", on_disconnect="continue")
        seen = await read_some(http, owner.url, run, 50)
        owner.process.kill()
        rest, notices = await read_rest(http, other.url, run, seen[-1].id or "")
        everything = await follow(http, other.url, run)
        async with http.get(f"{other.url}/v1/runs/{run}") as response:
            snapshot = await response.json()

    assert notices == []
    fresh = [event for event in rest if (event.id or "").startswith("2-")]
    assert fresh[0].payload["type"] == "run.restarted"
    assert fresh[0].payload["reason"] == "owner_lost"
    assert [event.id for event in fresh] == [f"2-{seq}" for seq in range(1, len(fresh) + 1)]
    assert fresh[-1].payload["type"] == "run.completed"
    text = "".join(e.payload["text"] for e in fresh if e.payload["type"] == "text.delta")
    assert text == "".join(words(100)) == snapshot["text"]
    assert fresh[-1].payload["text_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert everything[-len(fresh) :] == fresh
