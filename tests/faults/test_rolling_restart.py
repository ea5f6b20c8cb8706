"""A rolling restart: two replicas behind nginx are restarted one after the other, under load."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ..follower import Follower, broken
from ..nginx import nginx
from ..redisserver import RedisServer, free_port
from ..replica import Replica, replicas

pytestmark = [pytest.mark.nginx, pytest.mark.slow]

STREAMS = 100
CHUNKS = 45
CONTINUE = {"on_disconnect": "continue"}


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
            wave = [
                Follower(http, lambda: url, {"prompt": f"{replica.port} {n}"} | CONTINUE)
                for n in range(STREAMS)
            ]
            clients += wave
            streams += [asyncio.create_task(client.follow()) for client in wave]
            for client in wave:
                await client.began.wait()
            await restart(stack, tmp_path, replica, each)
        await asyncio.gather(*streams)

    for client in clients:
        assert broken(client.events) == []
        kinds = [event.payload["type"] for event in client.events]
        assert kinds[-1] == "run.completed"
        assert kinds.count("text.delta") == CHUNKS
    assert sum(client.sent_away for client in clients) >= STREAMS // 2
