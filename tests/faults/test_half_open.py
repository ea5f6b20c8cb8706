"""Fault 10: peers that are gone without a word - no FIN, no RST, no acknowledgement."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from llm_stream.testing import Fault, Script, ScriptedModel

from ..conftest import StartService
from ..frames import TEXT, UPGRADE, frame
from ..peers import connect, deafen, post
from ..wire import SSE, sse_events, start_async, until

pytestmark = pytest.mark.slow

STALL = Script(fault=Fault(at=1, stall=True))
ASKED = {"prompt": "x", "on_disconnect": "cancel"}
START = {"type": "start", "id": "1", "stream": "a", "input": ASKED}
ASKING = {
    "sse": post(ASKED),
    "json": post(ASKED, "application/json"),
    "socket": UPGRADE + frame(TEXT, json.dumps(START).encode()),
}


async def lost_after(service: Any, model: ScriptedModel, asking: bytes) -> float:
    """Seconds until the call of a client that goes deaf is closed."""
    model.scripts = [STALL]
    peer = connect(service.port)
    with peer:
        peer.sendall(asking)
        await until(lambda: model.calls and model.calls[0].said)
        loop = asyncio.get_running_loop()
        deaf_at = loop.time()
        deafen(peer)
        assert await asyncio.to_thread(model.calls[0].closed.wait, 60)
        return loop.time() - deaf_at


@pytest.mark.parametrize("wire", ASKING)
async def test_a_peer_that_is_gone_is_let_go(
    start_service: StartService, model: ScriptedModel, wire: str
) -> None:
    """Whatever it waited for, its run is abandoned soon after `stall_seconds`."""
    service = await start_service(
        server={"heartbeat_seconds": 0.3, "stall_seconds": 1}, runs={"abandon_grace_seconds": 0}
    )

    # The kernel counts its probes of a silent connection in whole seconds.
    assert 0.5 < await lost_after(service, model, ASKING[wire]) < 6


@pytest.mark.soak
@pytest.mark.parametrize("wire", ASKING)
async def test_half_a_minute_is_what_a_peer_that_is_gone_has(
    start_service: StartService, model: ScriptedModel, wire: str
) -> None:
    """With the defaults it is let go within 30 seconds."""
    service = await start_service(runs={"abandon_grace_seconds": 0})

    assert await lost_after(service, model, ASKING[wire]) <= 30


async def test_a_peer_that_pauses_is_not_gone(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Who reads nothing, but whose system acknowledges, stays as long as nothing piles up."""
    service = await start_service(server={"heartbeat_seconds": 0.1, "stall_seconds": 0.2})
    model.scripts = [STALL]
    run, _ = await start_async(http, service.url, prompt="x")
    url = f"{service.url}/v1/runs/{run}/events"
    async with http.get(url, headers=SSE) as paused, http.get(url, headers=SSE) as other:
        beats = 0
        async for event in sse_events(other):
            beats += event.event == "heartbeat"
            if beats == 10:
                break
        held = [event async for event in _first(paused, beats)]

    assert held.count("heartbeat") >= 9


async def _first(response: aiohttp.ClientResponse, count: int) -> Any:
    """The names of the first notices."""
    async for event in sse_events(response):
        yield event.event
        count -= event.event is not None
        if count <= 1:
            return
