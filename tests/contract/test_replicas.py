"""Two replicas and a Redis: whatever runs on one is read, resumed and ended on the other."""

import asyncio
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis

from llm_stream.events import decoded
from llm_stream.testing import Fault, Script, ScriptedModel, words

from ..conftest import StartService
from ..redisserver import RedisServer, free_port
from ..standin import RUN, of_another, other_replica
from ..wire import SSE, WsClient, ended, follow, in_pieces, reached, sse_events, start_async, until


@pytest.fixture
async def pair(redis_server: RedisServer, start_service: StartService) -> Any:
    """Two services that share a Redis."""
    return [await start_service(redis={"url": redis_server.url}) for _ in range(2)]


async def test_a_run_is_the_same_bytes_on_the_other_replica(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A reader on the replica that does not own the run gets what the owner's readers get."""
    ours, theirs = pair
    model.scripts = [Script(chunks=words(200), delay_seconds=0.001)]
    run, _ = await start_async(http, ours.url, prompt="x", on_disconnect="continue")

    here, there = await asyncio.gather(follow(http, ours.url, run), follow(http, theirs.url, run))
    again = await follow(http, theirs.url, run)

    assert len(here) == 203
    assert here == there == again


async def test_every_cursor_resumes_on_the_other_replica(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Behind each cursor of an ended run the rest follows exactly, on SSE and on the socket."""
    ours, theirs = pair
    model.scripts = [Script(chunks=words(30))]
    run, _ = await start_async(http, ours.url, prompt="x")
    everything = [event.data for event in await follow(http, ours.url, run)]
    ws = await WsClient.connect(http, theirs.url)

    for seq in range(1, len(everything) + 1):
        after = f"1-{seq}"
        rest = [event.data for event in await follow(http, theirs.url, run, after)]
        assert rest == everything[seq:]
        await ws.ask(type="subscribe", id=after,
                     streams=[{"stream": after, "run": run, "after": after}])  # fmt: skip
        assert await ws.end_of(after) == everything[seq:]
    await ws.ws.close()


async def test_a_reader_changes_replicas_in_mid_stream(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Cut after every few events and resumed on the other replica, the pieces join to the whole."""
    model.scripts = [Script(chunks=words(150), delay_seconds=0.001)]
    run, _ = await start_async(http, pair[0].url, prompt="x", on_disconnect="continue")
    urls = cycle(service.url for service in pair)
    pieces, drops = await in_pieces(http, urls, run, 11)

    assert drops > 10
    assert pieces == [event.data for event in await follow(http, pair[0].url, run)]


async def test_cursors_that_were_never_issued_are_refused(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Of a live run and of an ended one: the owner knows how far it has come."""
    ours, theirs = pair
    model.scripts = [Script(chunks=("a", "b"), fault=Fault(at=2, stall=True))]
    run, _ = await start_async(http, ours.url, prompt="x", on_disconnect="continue")
    await reached(ours.parts.registry.find(run), 3)
    for after in ("1-4", "2-1", "1-0", "x"):
        async with http.get(
            f"{theirs.url}/v1/runs/{run}/events?after={after}", headers=SSE
        ) as response:
            assert (response.status, (await response.json())["code"]) == (400, "invalid_cursor")


async def test_cancel_reaches_the_owner(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A run that is cancelled on the other replica ends on both, and its upstream is closed."""
    ours, theirs = pair
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    run, _ = await start_async(http, ours.url, prompt="x", on_disconnect="continue")
    await reached(ours.parts.registry.find(run), 2)

    async with http.post(f"{theirs.url}/v1/runs/{run}/cancel") as response:
        assert await response.json() == {"run": run, "state": "cancelled", "shared": False}
    events = await follow(http, theirs.url, run)

    assert events[-1].payload["type"] == "run.cancelled"
    assert model.calls[0].closed.is_set()


async def test_unknown_runs_are_unknown_everywhere(pair: Any, http: aiohttp.ClientSession) -> None:
    """A run that no replica has is a 404, as soon as none can have it still to share."""
    status = 503  # if Redis was slow to answer while the services started
    while status == 503:
        async with http.get(f"{pair[0].url}/v1/runs/run_x") as response:
            status = response.status
    assert status == 404


async def ask(http: aiohttp.ClientSession, url: str, **body: Any) -> Any:
    """A plain JSON answer."""
    async with http.post(f"{url}/v1/generate", json=body) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_equal_calls_on_two_replicas_are_one_call(pair: Any, model: ScriptedModel) -> None:
    """200 equal requests at once, spread over both: one upstream call, one run, one text."""
    model.scripts = [Script(chunks=words(50), delay_seconds=0.03)]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as crowd:
        answers = await asyncio.gather(
            *(ask(crowd, pair[number % 2].url, prompt="same") for number in range(200))
        )

    assert len(model.calls) == 1
    assert len({answer["id"] for answer in answers}) == 1
    assert {answer["text"] for answer in answers} == {"".join(words(50))}


async def test_joining_in_mid_answer_starts_from_its_beginning(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A request on the other replica reads the run from its first event, and says it joined."""
    ours, theirs = pair
    model.scripts = [Script(chunks=words(60), delay_seconds=0.005)]
    run, _ = await start_async(http, ours.url, prompt="same")
    await reached(ours.parts.registry.find(run), 30)
    async with http.post(
        f"{theirs.url}/v1/generate", json={"prompt": "same"}, headers=SSE
    ) as response:
        assert response.headers["X-Run-Id"] == run
        assert "collapsed" in response.headers["Cache-Status"]
        joined = [event async for event in sse_events(response) if event.event is None]

    assert joined == await follow(http, ours.url, run)
    assert joined[0].id == "1-1"
    assert len(model.calls) == 1


async def test_cancel_of_one_of_two_sharing_replicas_ends_nothing(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A shared run goes on until the last client gives it up, wherever that one is."""
    ours, theirs = pair
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    claims = []
    for service in (ours, theirs):
        async with http.post(
            f"{service.url}/v1/generate",
            json={"prompt": "same"},
            headers={"Prefer": "respond-async"},
        ) as response:
            claims.append((service.url, response.headers["X-Run-Claim"]))
            run = response.headers["X-Run-Id"]
    assert len(model.calls) == 1

    told = []
    for url, claim in claims:
        async with http.post(f"{url}/v1/runs/{run}/cancel?claim={claim}") as response:
            told.append((await response.json())["shared"])

    assert told == [True, False]
    assert (await follow(http, theirs.url, run))[-1].payload["type"] == "run.cancelled"


async def test_an_ended_call_frees_its_lease(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """An equal call on the other replica, after the end of the first, is started there at once."""
    ours, theirs = pair
    first = await ask(http, ours.url, prompt="same", cache={"mode": "use"})
    await asyncio.sleep(0)
    second = await ask(http, theirs.url, prompt="same", cache={"mode": "use"})

    assert first["id"] != second["id"]
    assert len(model.calls) == 2
    assert first["text"] == second["text"]


async def test_lists_have_the_runs_of_all_replicas(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """GET /v1/runs says the same everywhere, newest first; a recipe's inner runs are left out."""
    ours, theirs = pair
    first = (await ask(http, ours.url, prompt="one"))["id"]
    second = (await ask(http, theirs.url, prompt="two"))["id"]
    lists = []
    for service in pair:
        await follow(http, service.url, first)  # what can be followed there is listed there
        await follow(http, service.url, second)
        async with http.get(f"{service.url}/v1/runs") as response:
            body = await response.json()
            lists.append([(run["id"], run["state"], run["cursor"]) for run in body["runs"]])

    assert [run for run, _, _ in lists[0]] == [second, first]
    assert {state for _, state, _ in lists[0]} == {"completed"}
    assert lists[0] == lists[1]


async def test_health_and_metrics_tell_about_sharing(
    pair: Any, http: aiohttp.ClientSession
) -> None:
    """Runs are durable, the replica has an id, calls to Redis are measured."""
    await ask(http, pair[0].url, prompt="one")
    async with http.get(f"{pair[0].url}/health") as response:
        body = await response.json()
    async with http.get(f"{pair[0].url}/metrics") as response:
        text = await response.text()
    ws = await WsClient.connect(http, pair[0].url)

    assert body["runs"]["durable"] is True
    assert body["replica"]["redis"] == "ok"
    assert ws.others[0]["limits"]["durable"] is True
    assert "llm_stream_redis_up 1.0" in text
    assert "llm_stream_redis_seconds_count" in text
    await ws.ws.close()


async def test_leaving_on_the_other_replica_abandons_the_run(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The last reader's leaving decides, wherever it reads: the owner ends the run at once."""
    ours, theirs = pair
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    async with http.post(f"{ours.url}/v1/generate", json={"prompt": "x"}, headers=SSE) as here:
        run = here.headers["X-Run-Id"]
        held = ours.parts.registry.find(run)
        held.interest.patience_seconds = 0.0
        async with http.get(f"{theirs.url}/v1/runs/{run}/events", headers=SSE) as there:
            await until(lambda: held.readers == 2)
            here.close()
            await until(lambda: held.readers == 1)
            assert not held.ending
            there.close()
        await ended(held)

    assert decoded(held.events()[-1])["reason"] == "abandoned"
    assert model.calls[0].closed.is_set()


async def test_a_replay_is_followed_elsewhere(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """An answer out of one replica's cache can be read again on the other."""
    ours, theirs = pair
    await ask(http, ours.url, prompt="one")
    again = await ask(http, ours.url, prompt="one")

    assert again["cached"] is True
    async with http.get(f"{theirs.url}/v1/runs/{again['id']}") as response:
        # Nobody has seen an event of it yet: it may be new, or not be at all.
        assert response.status == 503
    here = await follow(http, ours.url, again["id"])
    assert await follow(http, theirs.url, again["id"]) == here
    assert await follow(http, theirs.url, again["id"], here[1].id or "") == here[2:]


async def test_a_replay_that_is_left_behind_is_found_elsewhere(
    pair: Any, http: aiohttp.ClientSession
) -> None:
    """Who was told 202 for an answer out of the cache follows it at any replica."""
    ours, theirs = pair
    await ask(http, ours.url, prompt="one")
    run, _ = await start_async(http, ours.url, prompt="one")
    elsewhere = await follow(http, theirs.url, run)

    assert elsewhere[0].payload["cache"] == "hit"
    assert elsewhere == await follow(http, ours.url, run)


async def test_pages_behind_a_cursor_are_the_same_elsewhere(
    pair: Any, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """JSON pages and snapshots of another replica's live run say what its owner says."""
    ours, theirs = pair
    model.scripts = [Script(chunks=words(20), fault=Fault(at=20, stall=True))]
    run, _ = await start_async(http, ours.url, prompt="x", on_disconnect="continue")
    await reached(ours.parts.registry.find(run), 21)
    said = []
    for path in (f"/v1/runs/{run}/events?after=1-21", f"/v1/runs/{run}/events?after=0"):
        for service in (theirs, ours):
            async with http.get(service.url + path) as response:
                assert response.status == 200
                said.append(await response.json())

    assert said[0] == said[1]
    assert said[2] == said[3]
    assert said[0]["events"] == []


async def test_a_page_behind_what_is_not_shared_yet_is_empty(
    redis_server: RedisServer, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """A cursor that its owner has shown and Redis lacks is good for a page as for a stream."""
    service = await start_service(redis={"url": redis_server.url})
    of_another(redis_server)
    async with other_replica(redis_server, follow={"last": "1-9"}):
        async with http.get(f"{service.url}/v1/runs/{RUN}/events?after=1-7") as response:
            assert response.status == 200
            page = await response.json()
        async with http.get(f"{service.url}/v1/runs/{RUN}/events?after=1-10") as response:
            assert response.status == 400

    assert page == {"events": [], "cursor": "1-7", "more": False, "ended": False}


async def test_many_streams_wait_for_a_silent_owner_together(
    redis_server: RedisServer, start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """Six streams of a replica that says nothing are opened in the time of one, in their order."""
    service = await start_service(redis={"url": redis_server.url})
    of_another(redis_server)
    ws = await WsClient.connect(http, service.url)
    asked = [{"stream": name, "run": RUN, "after": "1-9"} for name in "abcdea"]
    began = asyncio.get_running_loop().time()

    reply = await ws.ask(type="subscribe", id="1", streams=asked)

    assert asyncio.get_running_loop().time() - began < 3
    assert [stream["status"] for stream in reply["streams"]] == [200] * 5 + [409]
    await ws.ws.close()


@pytest.mark.slow
async def test_it_works_on_a_cluster(
    tmp_path: Path, start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A Redis in cluster mode, which refuses commands over several slots, serves all of this."""
    server = RedisServer(tmp_path)
    server.start("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    try:
        with redis.Redis(port=server.port) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        server.says("Cluster state changed: ok")
        ours, theirs = [await start_service(redis={"url": server.url}) for _ in range(2)]
        model.scripts = [Script(chunks=words(100), delay_seconds=0.002)]
        run, _ = await start_async(http, ours.url, prompt="x")
        joined, _ = await start_async(http, theirs.url, prompt="x")
        here, there = await asyncio.gather(
            follow(http, ours.url, run), follow(http, theirs.url, run)
        )
        async with http.get(f"{theirs.url}/v1/runs") as response:
            listed = [line["id"] for line in (await response.json())["runs"]]

        assert joined == run
        assert here == there
        assert listed == [run]
        assert ours.parts.replicas is not None
        assert ours.parts.replicas.durable
    finally:
        server.kill()
