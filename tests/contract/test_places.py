"""What a client may have open at once, held to by two replicas as if they were one."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis

from llm_stream.testing import Fault, Script, ScriptedModel
from llm_stream.testing.service import RunningService
from llm_stream.web.ws import PROTOCOL

from ..conftest import StartService
from ..redisserver import RedisServer
from ..replica import replicas
from ..web.test_auth import AddClient, add_client, clients_file, look
from ..wire import ended, reached, until

__all__ = ["add_client", "clients_file"]

STALL = Script(fault=Fault(at=1, stall=True))


@pytest.fixture
async def pair(
    redis_server: RedisServer, start_service: StartService, clients_file: Any
) -> list[RunningService]:
    """Two services that share a Redis and ask for keys."""
    auth = {"required": True, "clients_file": str(clients_file)}
    shared = {"url": redis_server.url}
    return [await start_service(redis=shared, cache=shared, auth=auth) for _ in range(2)]


@pytest.fixture
async def headers(pair: list[RunningService], add_client: AddClient) -> dict[str, str]:
    """Show the key of a client that may have one run and one socket at once."""
    headers = add_client(limits={"concurrent_runs": 1, "sockets": 1})
    for service in pair:
        await look(service)
    return headers


async def start(
    http: aiohttp.ClientSession, service: RunningService, headers: Any, prompt: str, **body: Any
) -> Any:
    """Start a run of its own: the run itself, or what is said instead."""
    async with http.post(
        f"{service.url}/v1/generate",
        json={"prompt": prompt, **body},
        headers={**headers, "Prefer": "respond-async"},
    ) as response:
        said = await response.json()
        if response.status == 202:
            return service.parts.registry.get(said["id"]) or said["id"]
        return response.status, said["code"], response.headers["Retry-After"]


async def cancel(
    http: aiohttp.ClientSession, service: RunningService, headers: Any, run: Any
) -> None:
    """End the run."""
    async with http.post(f"{service.url}/v1/runs/{run.id}/cancel", headers=headers) as response:
        assert response.status == 200
    await ended(run)


async def handshake(http: aiohttp.ClientSession, url: str, headers: Any) -> int:
    """Open a socket and close it; the status of the answer."""
    try:
        await (await http.ws_connect(f"{url}/v1/ws", headers=headers)).close()
    except aiohttp.WSServerHandshakeError as error:
        return error.status
    return 101


def taken(server: RedisServer) -> int:
    """Places that Redis knows of."""
    with redis.Redis(port=server.port) as client:
        return sum(client.zcard(key) for key in client.keys("*:places:*"))


FULL = (429, "too_many_runs", "1")


async def test_a_run_at_one_replica_is_one_less_at_the_other(
    pair: Any, headers: Any, http: aiohttp.ClientSession, model: ScriptedModel,
    redis_server: RedisServer,
) -> None:  # fmt: skip
    """Until it has ended; then the other has the place, and the first one has none."""
    ours, theirs = pair
    model.scripts = [STALL, STALL]
    run = await start(http, ours, headers, "one")
    refused = await start(http, theirs, headers, "two")
    await cancel(http, ours, headers, run)
    await until(lambda: not taken(redis_server))
    other = await start(http, theirs, headers, "two")

    assert refused == FULL
    assert await start(http, ours, headers, "three") == FULL
    assert await start(http, theirs, headers, "three") == FULL
    await cancel(http, theirs, headers, other)


async def test_what_calls_no_model_needs_no_place(
    pair: Any, headers: Any, http: aiohttp.ClientSession, model: ScriptedModel,
    redis_server: RedisServer,
) -> None:  # fmt: skip
    """A kept answer and a call that is under way elsewhere are had with all places taken."""
    ours, theirs = pair
    model.scripts = [Script(), STALL]
    kept = await start(http, ours, headers, "kept")
    await ended(kept)
    await until(lambda: not taken(redis_server))
    run = await start(http, ours, headers, "one")
    await reached(run, 2)

    assert await start(http, theirs, headers, "one") == run.id
    assert (await start(http, theirs, headers, "kept")).info.cache == "hit"
    assert await start(http, theirs, headers, "two") == FULL
    assert taken(redis_server) == 1
    run.cancel("requested")
    await ended(run)


async def test_equal_calls_at_both_replicas_need_one_place(
    pair: Any, headers: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Twenty that come at once are one run, and none is refused."""
    model.scripts = [STALL]
    told = await asyncio.gather(*(start(http, pair[n % 2], headers, "same") for n in range(20)))
    runs = {run if isinstance(run, str) else run.id for run in told}
    (run,) = {run for run in told if not isinstance(run, str)}
    run.cancel("requested")
    await ended(run)

    assert runs == {run.id}
    assert len(model.calls) == 1


async def test_a_run_that_cannot_begin_takes_no_place(
    pair: Any, headers: Any, http: aiohttp.ClientSession, redis_server: RedisServer
) -> None:
    """A replica that drains keeps none from the other."""
    ours, theirs = pair
    ours.parts.registry.draining = True
    refused = await start(http, ours, headers, "one")
    await until(lambda: not taken(redis_server))

    assert refused[:2] == (503, "draining")
    await ended(await start(http, theirs, headers, "one"))


async def test_a_socket_at_one_replica_is_one_less_at_the_other(
    pair: Any, headers: Any, http: aiohttp.ClientSession, redis_server: RedisServer
) -> None:
    """Until it is closed."""
    ours, theirs = pair
    async with http.ws_connect(f"{ours.url}/v1/ws", headers=headers):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(f"{theirs.url}/v1/ws", headers=headers)
    await until(lambda: not taken(redis_server))
    async with http.ws_connect(f"{theirs.url}/v1/ws", headers=headers, protocols=[PROTOCOL]) as ws:
        assert (await ws.receive_json())["type"] == "welcome"

    assert caught.value.status == 429


async def test_a_revoked_key_has_nothing_open(
    pair: Any, headers: Any, http: aiohttp.ClientSession, clients_file: Any,
    redis_server: RedisServer,
) -> None:  # fmt: skip
    """Its sockets end, and their places."""
    async with http.ws_connect(f"{pair[0].url}/v1/ws", headers=headers) as ws:
        await ws.receive_json()
        before = taken(redis_server)
        clients_file.write_text("")
        await look(pair[0])
        await until(lambda: not taken(redis_server))

    assert before == 1


async def test_without_redis_each_replica_has_its_own_places(
    pair: Any, headers: Any, http: aiohttp.ClientSession, model: ScriptedModel,
    redis_server: RedisServer,
) -> None:  # fmt: skip
    """One run at each; when it is back, both are known."""
    model.scripts = [STALL, STALL]
    redis_server.kill()
    runs = []
    for service in pair:
        runs.append(await start(http, service, headers, "one", cache={"mode": "bypass"}))
        again = await start(http, service, headers, "two", cache={"mode": "bypass"})
        assert again == FULL
    redis_server.start()
    await until(lambda: taken(redis_server) == 2)

    for service, run in zip(pair, runs, strict=True):
        await cancel(http, service, headers, run)
    await until(lambda: not taken(redis_server))


@pytest.mark.soak
async def test_places_of_a_killed_replica_come_free(
    redis_server: RedisServer, http: aiohttp.ClientSession, tmp_path: Path,
    clients_file: Path, add_client: AddClient,
) -> None:  # fmt: skip
    """Nobody renews them, so they are the client's again within a quarter of a minute."""
    headers = add_client(limits={"sockets": 1})
    auth = {"required": True, "clients_file": str(clients_file)}
    with replicas(tmp_path, redis={"url": redis_server.url}, auth=auth) as (first, second):
        async with http.ws_connect(f"{first.url}/v1/ws", headers=headers):
            began = asyncio.get_running_loop().time()
            first.process.kill()
            answers = [await handshake(http, second.url, headers)]
            while answers[-1] == 429:
                answers.append(await handshake(http, second.url, headers))

    assert len(answers) > 1
    assert answers[-1] == 101
    assert asyncio.get_running_loop().time() - began < 20
