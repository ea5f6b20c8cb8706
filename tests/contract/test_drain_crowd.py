"""Fault 3: SIGTERM with 200 streams and 1,000 idle sockets."""

import asyncio
import json
import signal
from pathlib import Path

import aiohttp
import pytest

from ..replica import Replica, replicas
from ..wire import SSE, SseEvent, sse_events

STREAMS, SOCKETS = 200, 1000


async def stream(http: aiohttp.ClientSession, url: str, number: int) -> list[SseEvent]:
    """Everything a stream of its own says, to its end."""
    body = {"prompt": f"stream {number}"}
    async with http.post(f"{url}/v1/generate", json=body, headers=SSE) as response:
        return [event async for event in sse_events(response)]


async def told(ws: aiohttp.ClientWebSocketResponse) -> tuple[int, int | None]:
    """What an idle socket is told at a drain: when to come back, and its close code."""
    wait = 0
    async for message in ws:
        frame = json.loads(message.data)
        if frame["type"] == "goaway":
            wait = frame["reconnect_after_ms"]
    return wait, ws.close_code


async def until_streaming(http: aiohttp.ClientSession, replica: Replica) -> None:
    """Return when every stream has begun."""
    while True:
        async with http.get(f"{replica.url}/health") as response:
            if (await response.json())["runs"]["active"] >= STREAMS:
                return


@pytest.mark.slow
async def test_a_crowd_is_let_go_without_loss(tmp_path: Path) -> None:
    """Not ready at once but alive; all streams end whole, sockets come back spread, exit 0."""
    limits = {"concurrent_runs": STREAMS}
    with replicas(tmp_path, count=1, chunks=300, limits=limits) as (replica,):
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            opened = [http.ws_connect(f"{replica.url}/v1/ws") for _ in range(SOCKETS)]
            idle = [asyncio.create_task(told(ws)) for ws in await asyncio.gather(*opened)]
            streams = [
                asyncio.create_task(stream(http, replica.url, number)) for number in range(STREAMS)
            ]
            await until_streaming(http, replica)
            replica.process.send_signal(signal.SIGTERM)
            ready = 200
            while ready == 200:
                async with http.get(f"{replica.url}/readyz") as response:
                    ready = response.status
            async with http.get(f"{replica.url}/livez") as response:
                alive = response.status
            events = await asyncio.gather(*streams)
            goodbyes = await asyncio.gather(*idle)

        assert (ready, alive) == (503, 200)
        assert {seen[-1].payload["type"] for seen in events} == {"run.completed"}
        assert all(any(event.event == "goaway" for event in seen) for seen in events)
        assert {code for _, code in goodbyes} == {4512}
        waits = [wait for wait, _ in goodbyes]
        assert min(waits) < 1000
        assert max(waits) > 2000
        assert await asyncio.to_thread(replica.process.wait) == 0
