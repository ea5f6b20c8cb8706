"""Fault 21: subscribing at the instant of the terminal event always ends."""

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from ..conftest import StartService
from ..wire import WsClient, follow, start_async, turns
from .gated import GatedModel

TIMES = 200
"""Ten of each moment; on the socket five that subscribe before the last word, five behind it."""


@pytest.fixture
def model() -> GatedModel:
    """The service's only model."""
    return GatedModel("word")


def moments() -> Iterator[int]:
    """Turns of the loop between the last word and the subscription: all that matter, repeated."""
    for number in range(TIMES):
        yield number // 2 % 20  # every one with an even number, and with an odd one


@pytest.mark.slow
async def test_a_socket_that_subscribes_at_the_end_gets_it(
    start_service: StartService, http: aiohttp.ClientSession, model: GatedModel
) -> None:
    """Hundreds of subscriptions around the terminal event: each sees the whole run, and its end."""
    service = await start_service(limits={"connection_streams": TIMES})
    ws = await WsClient.connect(http, service.url)
    for number, moment in enumerate(moments()):
        model.gate.clear()
        run, _ = await start_async(
            http, service.url, prompt=str(number), model="gated", cache={"mode": "bypass"}
        )
        asked = {"stream": str(number), "run": run, "after": "0"}
        early = number % 2
        if early:
            await ws.send(type="subscribe", id=str(number), streams=[asked])
            await turns(moment)
        model.gate.set()
        if not early:
            await turns(moment)
            await ws.send(type="subscribe", id=str(number), streams=[asked])
        events = await ws.end_of(str(number))

        assert b"run.completed" in events[-1]
        assert len(events) == 4
    await ws.ws.close()


@pytest.mark.slow
async def test_a_stream_that_is_opened_at_the_end_gets_it(
    start_service: StartService, http: aiohttp.ClientSession, model: GatedModel
) -> None:
    """The same over SSE, where the end of the events is the end of the response."""
    service = await start_service()
    for number, moment in enumerate(moments()):
        model.gate.clear()
        run, _ = await start_async(
            http, service.url, prompt=str(number), model="gated", cache={"mode": "bypass"}
        )
        reader = asyncio.create_task(follow(http, service.url, run))
        await turns(moment)
        model.gate.set()
        events = await reader

        assert [event.id for event in events] == ["1-1", "1-2", "1-3", "1-4"]
        assert events[-1].payload["type"] == "run.completed"
