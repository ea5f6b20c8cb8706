"""The same `Idempotency-Key` at two replicas: one run, one answer."""

import asyncio
from typing import Any

import aiohttp
import pytest
import redis

from llm_stream.engine.redislog.idempotency import RedisIdempotency
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.post import Post
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.web.idempotency import IdempotencyKeys

from ..conftest import StartService
from ..redisserver import RedisServer
from ..standin import KEYS, OTHER
from ..wire import JSON, follow, shared

KEY = {"Idempotency-Key": "order 1 of {ann}", **JSON}
BODY = b'{"prompt":"x","cache":{"mode":"bypass"}}'


@pytest.fixture
async def pair(redis_server: RedisServer, start_service: StartService) -> Any:
    """Two services that share a Redis; each has its own cache."""
    return [await start_service(redis={"url": redis_server.url}) for _ in range(2)]


async def ask(
    http: aiohttp.ClientSession, service: Any, body: bytes = BODY, **headers: str
) -> tuple[int, Any]:
    """POST /v1/generate with the key: status and decoded body."""
    async with http.post(
        f"{service.url}/v1/generate", data=body, headers=KEY | headers
    ) as response:
        return response.status, await response.json()


async def test_fifty_equal_calls_at_two_replicas_are_one_run(
    pair: Any, model: ScriptedModel
) -> None:
    """At once, half of them at each: one run, one upstream call, one text."""
    model.scripts = [Script(chunks=words(20), delay_seconds=0.005)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as crowd:
        answers = await asyncio.gather(*(ask(crowd, pair[number % 2]) for number in range(50)))

    assert {status for status, _ in answers} == {200}
    assert len({answer["id"] for _, answer in answers}) == 1
    assert {answer["text"] for _, answer in answers} == {"".join(words(20))}
    assert len(model.calls) == 1


async def test_another_body_conflicts_at_the_other_replica(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A key that was used anywhere is used."""
    await ask(http, pair[0])
    status, body = await ask(http, pair[1], b'{"prompt":"y"}')

    assert (status, body["code"]) == (422, "idempotency_conflict")
    assert len(model.calls) == 1


async def test_a_call_whose_replica_died_is_taken_over(
    pair: Any,
    http: aiohttp.ClientSession,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A replica that dies before the run has begun holds the key for seconds, not for ever."""
    monkeypatch.setattr("llm_stream.engine.redislog.idempotency.CLAIM_MS", 200)
    link = RedisLink(redis_server.url)
    dies = IdempotencyKeys(60, shared=RedisIdempotency(link, KEYS, Post(link, KEYS, OTHER), 60_000))
    async with dies.turn("", "/v1/generate", KEY["Idempotency-Key"], BODY) as turn:
        assert await turn.find() == ""
        answers = [await ask(http, service) for service in pair]
    await link.close()

    assert [status for status, _ in answers] == [200, 200]
    assert answers[0][1]["id"] == answers[1][1]["id"]


async def test_a_call_that_starts_nothing_leaves_the_key_free(
    pair: Any, http: aiohttp.ClientSession
) -> None:
    """A refused body is no use of the key, there or elsewhere."""
    refused, _ = await ask(http, pair[0], b'{"prompt":""}')
    status, _ = await ask(http, pair[1])

    assert (refused, status) == (400, 200)


async def test_a_cancelled_run_is_started_anew_by_any_replica(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Once: the replica that had started the first one leads to the second."""
    model.scripts = [Script(fault=Fault(at=1, stall=True)), Script()]
    _, first = await ask(http, pair[0], Prefer="respond-async")
    async with http.post(f"{pair[0].url}/v1/runs/{first['id']}/cancel"):
        pass
    await follow(http, pair[1].url, first["id"])
    await shared(pair[0])
    _, second = await ask(http, pair[1])
    _, again = await ask(http, pair[0])

    assert second["id"] != first["id"]
    assert again["id"] == second["id"]
    assert len(model.calls) == 2


async def test_a_hit_by_a_key_is_the_same_hit_elsewhere(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Also where the other replica has no such answer in its own cache."""
    body = b'{"prompt":"x"}'
    async with http.post(f"{pair[0].url}/v1/generate", data=body, headers=JSON) as response:
        await response.read()
    (_, here), (status, there) = [await ask(http, service, body) for service in pair]

    assert status == 200
    assert there["id"] == here["id"]
    assert (here["cache"]["status"], there["cache"]["status"]) == ("hit", "hit")
    assert len(model.calls) == 1


async def test_redis_holds_hashes_of_keys(
    pair: Any, http: aiohttp.ClientSession, redis_server: RedisServer
) -> None:
    """What a client calls its key is nobody else's business, and no name in Redis."""
    await ask(http, pair[0])
    await ask(http, pair[1])
    with redis.Redis(port=redis_server.port) as client:
        names = client.keys("*")
        (name,) = client.keys(KEYS.idempotency("*"))

    assert len(name) == len(KEYS.idempotency("")) + 64
    assert not [name for name in names if b"order" in name]


async def test_without_redis_a_key_counts_at_its_replica(
    pair: Any, http: aiohttp.ClientSession, redis_server: RedisServer, model: ScriptedModel
) -> None:
    """Each replica starts one run by it, and no call fails."""
    redis_server.kill()
    answers = [await ask(http, service) for service in (*pair, *pair)]

    assert {status for status, _ in answers} == {200}
    assert [answer["id"] for _, answer in answers[:2]] == [
        answer["id"] for _, answer in answers[2:]
    ]
    assert len(model.calls) == 2
