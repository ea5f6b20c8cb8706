"""Promise P2: who reconnects sees every event once, in order, the same bytes."""

import asyncio
import random
from itertools import repeat
from typing import Any

import aiohttp
import pytest

from llm_stream.events import is_terminal
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..conftest import StartService
from ..wire import (
    SSE,
    WsClient,
    ended,
    follow,
    in_pieces,
    reached,
    speaking,
    sse_events,
    start_async,
    turns,
)


async def test_resuming_at_every_cursor_of_a_run(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """From each of 200 cursors the rest follows exactly, on SSE and on the socket."""
    model.scripts = [Script(chunks=words(197))]
    run, _ = await start_async(http, service.url, prompt="x")
    everything = [event.data for event in await follow(http, service.url, run)]
    assert len(everything) == 200
    ws = await WsClient.connect(http, service.url)

    for seq in range(1, 201):
        assert [e.data for e in await follow(http, service.url, run, f"1-{seq}")] == everything[
            seq:
        ]
        await ws.ask(type="subscribe", id=str(seq),
                     streams=[{"stream": str(seq), "run": run, "after": f"1-{seq}"}])  # fmt: skip
        assert await ws.end_of(str(seq)) == everything[seq:]
    await ws.ws.close()


async def test_a_dropped_stream_goes_on_without_a_hole(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Cut after every few events of a live run and resumed, the pieces join to the whole."""
    model.scripts = [Script(chunks=words(100), delay_seconds=0.001)]
    run, _ = await start_async(http, service.url, prompt="x", on_disconnect="continue")
    urls = repeat(service.url)
    pieces, drops = await in_pieces(http, urls, run, 7)

    assert drops > 10
    assert pieces == [event.data for event in await follow(http, service.url, run)]


@pytest.mark.slow
async def test_two_hundred_readers_each_get_their_range(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Early, late, slow and leaving readers of one run each see exactly their range."""
    service = await start_service(limits={"connection_streams": 200})
    model.scripts = [Script(chunks=words(300), delay_seconds=0.001)]
    run, _ = await start_async(http, service.url, prompt="x", on_disconnect="continue")
    draw = random.Random(7)

    async def read(crowd: Any, number: Any) -> Any:
        after = draw.randrange(0, 5)
        await reached(service.parts.registry.find(run), max(after, draw.randrange(0, 300)))
        leave = draw.randrange(1, 300) if number % 4 == 0 else None
        seen = []
        async with crowd.get(
            f"{service.url}/v1/runs/{run}/events",
            params={"after": f"1-{after}" if after else "0"},
            headers=SSE,
        ) as response:
            async for event in sse_events(response):
                seen.append(event.data)
                if len(seen) == leave:
                    response.close()
                    break
                if number % 5 == 0:
                    await asyncio.sleep(0)
        return after, leave, seen

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as crowd:
        results = await asyncio.gather(*(read(crowd, number) for number in range(200)))

    everything = [event.data for event in await follow(http, service.url, run)]
    for after, leave, seen in results:
        expected = everything[after:]
        assert seen == (expected if leave is None else expected[:leave])


@pytest.mark.slow
async def test_a_thousand_cancels_at_random_moments(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Each of 1,000 runs has one terminal event; no task, reader or upstream is left."""
    roomy = {"concurrent_runs": 1000, "connection_concurrent_runs": 100, "connection_streams": 100}
    service = await start_service(limits=roomy)
    model.scripts = [Script(chunks=words(30), delay_seconds=0.001)]
    before = asyncio.all_tasks()
    draw = random.Random(11)
    sockets = [await WsClient.connect(http, service.url) for _ in range(10)]

    async def work(ws: WsClient) -> Any:
        runs = []
        for number in range(100):
            reply = await ws.ask(
                type="start", id=f"s{number}", stream=str(number),
                input={"prompt": f"{id(ws)} {number}"},
            )  # fmt: skip
            assert reply["status"] == 202, reply
            runs.append(reply["run"])
            await turns(draw.randrange(0, 40))
            await ws.ask(type="cancel", id=f"c{number}", run=draw.choice(runs))
        for number, run in enumerate(runs):
            await ws.send(type="cancel", id=f"e{number}", run=run)
        for number in range(100):
            await ws.end_of(str(number))
        return runs

    every = [run for runs in await asyncio.gather(*map(work, sockets)) for run in runs]
    for ws in sockets:
        await ws.ws.close()
    while service.parts.sockets:
        await asyncio.sleep(0)

    assert len(set(every)) == 1000
    for run in every:
        events = service.parts.registry.find(run).events()
        assert [is_terminal(event) for event in events].count(True) == 1
        assert is_terminal(events[-1])
    assert all(call.closed.is_set() for call in model.calls)
    assert service.parts.registry.live == 0
    assert service.parts.registry.readers == 0
    assert {t for t in asyncio.all_tasks() - before if "run_" in t.get_name()} == set()


@pytest.mark.parametrize("how", ["rest", "ws"])
async def test_cancel_closes_the_model_at_once(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, how: Any
) -> None:
    """From the cancel's arrival to the closed upstream it is under 100 ms, on either wire."""
    model.scripts = [Script(chunks=words(3), fault=Fault(at=1, stall=True))]
    run, _ = await start_async(http, service.url, prompt="x")
    await speaking(model)
    loop = asyncio.get_running_loop()
    began = loop.time()
    if how == "rest":
        async with http.post(f"{service.url}/v1/runs/{run}/cancel") as response:
            assert response.status == 200
    else:
        ws = await WsClient.connect(http, service.url)
        began = loop.time()
        await ws.ask(type="cancel", id="1", run=run)
        await ws.ws.close()
    await ended(service.parts.registry.find(run))

    assert model.calls[0].closed_at is not None
    assert model.calls[0].closed_at - began < 0.1
