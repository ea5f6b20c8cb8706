"""A rolling restart: two replicas behind nginx are restarted one after the other, under load."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ..nginx import nginx
from ..redisserver import RedisServer, free_port
from ..replica import Replica, replicas
from ..wire import SSE, SseEvent, sse_events

pytestmark = [pytest.mark.nginx, pytest.mark.slow]

STREAMS = 100
CHUNKS = 60


class Follower:
    """A client as it should be: it comes back behind the last event it has until there is an end.

    Attributes:
        began: set when it has seen the first event.
        events: every logged event it has seen, in order.
        resumes: how often it came back.
        sent_away: whether it was told to come back elsewhere, and did.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str, number: int) -> None:
        self.events: list[SseEvent] = []
        self.began = asyncio.Event()
        self.resumes = -1
        self.sent_away = False
        self._http, self._url = http, url
        self._body = {"prompt": f"stream {number}", "on_disconnect": "continue"}

    async def start(self) -> str:
        """Start the run, at whoever takes it; who drains says 503."""
        while True:
            async with self._http.post(
                f"{self._url}/v1/generate", json=self._body, headers={"Prefer": "respond-async"}
            ) as response:
                answer = await response.json()
            if response.status == 202:
                return str(answer["id"])
            assert answer["retryable"], answer

    async def follow(self) -> None:
        """Start it and read to its end."""
        run = await self.start()
        while not self.events or self.events[-1].payload["type"] not in ENDS:
            self.resumes += 1
            after = self.events[-1].id if self.events else "0"
            async with self._http.get(
                f"{self._url}/v1/runs/{run}/events", params={"after": after or ""}, headers=SSE
            ) as response:
                assert response.status == 200, await response.text()
                await self._read(sse_events(response))

    async def _read(self, events: AsyncIterator[SseEvent]) -> None:
        try:
            async for event in events:
                assert event.event != "gap"
                if event.event == "goaway" and not self.sent_away:
                    # Whoever takes it next may be the one that drains, and serves it nonetheless.
                    self.sent_away = True
                    return
                if event.event is None:
                    self.events.append(event)
                    self.began.set()
        except aiohttp.ClientPayloadError:
            pass  # nginx breaks off what its upstream has broken off


ENDS = {"run.completed", "run.failed", "run.cancelled"}


async def restart(
    stack: ExitStack, folder: Path, replica: Replica, sections: dict[str, Any]
) -> Replica:
    """Let it drain and start its successor at the same address."""
    replica.process.terminate()
    assert await asyncio.to_thread(replica.process.wait, 60) == 0
    return await asyncio.to_thread(begin, stack, folder, sections)


def begin(stack: ExitStack, folder: Path, sections: dict[str, Any]) -> Replica:
    """Start one replica."""
    (replica,) = stack.enter_context(
        replicas(folder, count=1, chunks=CHUNKS, delay_seconds=0.04, **sections)
    )
    return replica


async def test_a_rolling_restart_loses_no_stream(
    redis_server: RedisServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Each replica is replaced while 100 clients stream: every run ends once, whole."""
    ports = [free_port(), free_port()]
    sections = [
        {
            "server": {"port": port},
            "redis": {"url": redis_server.url},
            "limits": {"concurrent_runs": STREAMS},
        }
        for port in ports
    ]
    with ExitStack() as stack:
        pair = await asyncio.gather(
            *(asyncio.to_thread(begin, stack, tmp_path, each) for each in sections)
        )
        url = stack.enter_context(nginx(tmp_path, ports))
        clients: list[Follower] = []
        streams = []
        for replica, each in zip(pair, sections, strict=True):
            wave = [Follower(http, url, len(clients) + number) for number in range(STREAMS)]
            clients += wave
            streams += [asyncio.create_task(client.follow()) for client in wave]
            for client in wave:
                await client.began.wait()
            await restart(stack, tmp_path, replica, each)
        await asyncio.gather(*streams)

    for client in clients:
        assert [e.id for e in client.events] == [f"1-{n + 1}" for n in range(len(client.events))]
        kinds = [event.payload["type"] for event in client.events]
        assert [kind for kind in kinds if kind in ENDS] == ["run.completed"]
        assert kinds.count("text.delta") == CHUNKS
        text = "".join(e.payload.get("text", "") for e in client.events)
        digest = client.events[-1].payload["text_sha256"]
        assert hashlib.sha256(text.encode()).hexdigest() == digest
    assert sum(client.sent_away for client in clients) >= STREAMS // 2
