"""Faults 11 and 12: thousands of idle sockets, and a thousand clients that drop at once."""

import asyncio
from pathlib import Path
from typing import cast

import aiohttp
import pytest

from ..follower import broken
from ..frames import PONG, UPGRADE, frame
from ..process import measured, resident_bytes
from ..replica import Replica, replicas
from ..wire import SSE, SseEvent, sse_events, start_async

STREAMS = 100
RESUMED_SECONDS = 15
SOCKET_BYTES = 32 << 10


class IdleSocket(asyncio.Protocol):
    """A WebSocket that says nothing and answers pings, as a browser's in a tab in the background.

    Attributes:
        welcomed: done when the socket is open.
        lost: whether the service has ended it.
    """

    def __init__(self) -> None:
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(UPGRADE)

    def data_received(self, data: bytes) -> None:
        if b'"type":"welcome"' in data and not self.welcomed.done():
            self.welcomed.set_result(None)
        if data.endswith(b"\x89\x00"):
            self.transport.write(frame(PONG))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


async def opened(replica: Replica, count: int) -> list[IdleSocket]:
    """So many sockets, all of them welcomed."""
    loop = asyncio.get_running_loop()
    sockets = []
    for _ in range(count):
        _, made = await loop.create_connection(IdleSocket, "127.0.0.1", replica.port)
        sockets.append(made)
    await asyncio.gather(*(each.welcomed for each in sockets))
    return sockets


async def stream(http: aiohttp.ClientSession, url: str, number: int) -> bool:
    """Whether a stream of its own is whole."""
    body = {"prompt": f"stream {number}"}
    async with http.post(f"{url}/v1/generate", json=body, headers=SSE) as response:
        return whole([event async for event in sse_events(response) if event.event is None])


def whole(events: list[SseEvent]) -> bool:
    """Whether these are all events of a run that has completed, each once."""
    return broken(events) == [] and events[-1].payload["type"] == "run.completed"


@pytest.mark.parametrize(
    "count",
    [pytest.param(500, marks=pytest.mark.slow), pytest.param(5000, marks=pytest.mark.soak)],
)
async def test_idle_sockets_cost_little(tmp_path: Path, count: int) -> None:
    """Each takes 32 KiB at most, none is lost, and 100 streams beside them are whole."""
    limits = {"concurrent_runs": STREAMS}
    with replicas(tmp_path, count=1, chunks=50, limits=limits) as (replica,):
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            # What the first streams and the first socket load is not the price of a socket.
            await stream(http, replica.url, 0)
            sockets = await opened(replica, 1)
            before = resident_bytes(replica.process.pid)
            sockets += await opened(replica, count)
            each = (resident_bytes(replica.process.pid) - before) / count
            answers = [stream(http, replica.url, number + 1) for number in range(STREAMS)]
            ends = await asyncio.gather(*answers)
            async with http.get(f"{replica.url}/health") as response:
                health = await response.json()
        measured("bytes a socket", each)

        assert all(ends)
        assert each <= SOCKET_BYTES
        assert not any(idle.lost for idle in sockets)
        assert health["sockets"] == count + 1
        for idle in sockets:
            idle.transport.abort()


@pytest.mark.parametrize(
    "count",
    [pytest.param(200, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.soak)],
)
async def test_a_reconnect_storm_is_weathered(tmp_path: Path, count: int) -> None:
    """All readers drop at once and come back at once: each goes on within 15 seconds, whole."""
    runs = 10
    # So long that no run has ended by the time the last one is back.
    chunks = 30 + count // 10
    with replicas(tmp_path, count=1, chunks=chunks, delay_seconds=0.05) as (replica,):
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            started = [
                await start_async(http, replica.url, prompt=f"run {n}", on_disconnect="continue")
                for n in range(runs)
            ]
            names = [started[number % runs][0] for number in range(count)]
            here, drop = asyncio.Barrier(count + 1), asyncio.Event()
            back_at: list[float] = []
            loop = asyncio.get_running_loop()

            async def reader(run: str) -> list[SseEvent]:
                url = f"{replica.url}/v1/runs/{run}/events"
                seen: list[SseEvent] = []
                async with http.get(url, headers=SSE) as response:
                    events = sse_events(response)
                    seen += [await anext(events) for _ in range(5)]
                    await here.wait()
                    await drop.wait()
                    response.close()
                after = {"Last-Event-ID": seen[-1].id or ""}
                async with http.get(url, headers=SSE | after) as response:
                    async for event in sse_events(response):
                        if len(seen) == 5:
                            back_at.append(loop.time())
                        seen.append(event)
                return seen

            readers = [asyncio.create_task(reader(run)) for run in names]
            await here.wait()
            dropped_at = loop.time()
            drop.set()
            wholes = await asyncio.gather(*readers)
        measured("seconds until all were back", max(back_at) - dropped_at)

        assert all(whole(events) for events in wholes)
        assert len(back_at) == count
        assert max(back_at) - dropped_at <= RESUMED_SECONDS
