"""Fault 18: no file descriptor is left; a plugin blocks the event loop."""

import asyncio
import resource
import threading
from pathlib import Path

import aiohttp
import pytest

from llm_stream.testing import Script, ScriptedModel, words

from ..conftest import StartService
from ..peers import connect
from ..process import open_files
from ..replica import replicas
from ..wire import SSE, follow, sse_events, start_async

pytestmark = pytest.mark.slow

BLOCKED_SECONDS = 0.5
LAG = "llm_stream_loop_lag_seconds"


async def test_without_descriptors_streams_go_on_and_it_recovers(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Nobody else can connect, who is connected notices nothing; with room again all is well."""
    with replicas(tmp_path, count=1, chunks=100) as (replica,):
        body = {"prompt": "x"}
        async with http.post(f"{replica.url}/v1/generate", json=body, headers=SSE) as response:
            events = sse_events(response)
            seen = [await anext(events)]
            pid = replica.process.pid
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            room = open_files(pid) + 5
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (room, hard))
            peers = [connect(replica.port) for _ in range(50)]
            seen += [event async for event in events if event.event is None]
            assert open_files(pid) == room
        for peer in peers:
            peer.close()
        async with asyncio.timeout(10), http.get(f"{replica.url}/livez") as response:
            assert response.status == 200

    assert [event.id for event in seen] == [f"1-{number + 1}" for number in range(103)]
    assert seen[-1].payload["type"] == "run.completed"
    log = (tmp_path / "replica.log").read_text("utf-8")
    assert log.count("\n") < 20


class BlockingModel(ScriptedModel):
    """Blocks the whole loop once, in mid-answer, as a plugin does that calls a sync library."""

    async def pause(self, seconds: float) -> None:
        if self.calls[-1].said == 10:
            threading.Event().wait(BLOCKED_SECONDS)
        await asyncio.sleep(0)


async def test_a_blocked_loop_is_shown_and_survived(
    start_service: StartService, http: aiohttp.ClientSession
) -> None:
    """The lag histogram has half a second more; both runs are whole, and so is what comes next."""
    blocking = BlockingModel("blocking", Script(chunks=words(20)))
    service = await start_service(blocking, telemetry={"loop_lag_seconds": 0.05})
    registry = service.parts.metrics.registry
    before = registry.get_sample_value(f"{LAG}_sum") or 0.0

    runs = [
        await start_async(http, service.url, prompt="x", model=model)
        for model in ("scripted", "blocking")
    ]
    ends = [(await follow(http, service.url, run))[-1].payload["type"] for run, _ in runs]
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "y"}) as response:
        assert response.status == 200

    assert ends == ["run.completed", "run.completed"]
    assert (registry.get_sample_value(f"{LAG}_sum") or 0.0) - before >= BLOCKED_SECONDS - 0.1
