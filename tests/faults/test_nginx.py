"""Fault 23: nginx in front, with its defaults; streams pass as they come, and end as they end."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from llm_stream.testing import Fault, Script, ScriptedModel, words

from ..conftest import StartService
from ..nginx import NEXT, SOCKET, nginx
from ..stepmodel import StepModel
from ..wire import SSE, SseEvent, WsClient, follow, sse_events, start_async

pytestmark = [pytest.mark.nginx, pytest.mark.slow]

COUNT = 20
PLAIN = {"Accept-Encoding": "identity"}
GZIP = {"Accept-Encoding": "gzip"}


@pytest.mark.parametrize("accepts", [PLAIN, GZIP], ids=["plain", "gzip"])
async def test_tokens_arrive_singly(
    start_service: StartService,
    http: aiohttp.ClientSession,
    tmp_path: Path,
    accepts: dict[str, str],
) -> None:
    """Each word is there before the model says the next one, compressed or not."""
    model = StepModel(COUNT)
    service = await start_service(model)
    seen = []
    with nginx(tmp_path, [service.port]) as url:
        body = {"prompt": "x", "model": "steps"}
        async with http.post(f"{url}/v1/generate", json=body, headers=SSE | accepts) as response:
            coding = response.headers.get("Content-Encoding")
            async for event in sse_events(response):
                seen.append(event.payload)
                if seen[-1]["type"] in {"run.started", "text.delta"}:
                    model.step.release()

    assert (coding or "identity") == accepts["Accept-Encoding"]
    assert "".join(e["text"] for e in seen if e["type"] == "text.delta") == "".join(words(COUNT))
    assert seen[-1]["type"] == "run.completed"


async def test_a_plain_answer_passes(
    start_service: StartService, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """JSON answers and problems are the service's own, status included."""
    service = await start_service()
    with nginx(tmp_path, [service.port]) as url:
        async with http.post(f"{url}/v1/generate", json={"prompt": "x"}) as response:
            assert (await response.json())["text"] == "Hello, world."
        async with http.post(f"{url}/v1/generate", json={"prompt": 1}) as response:
            assert (response.status, (await response.json())["field"]) == (400, "prompt")


async def test_who_drains_is_passed_over(
    start_service: StartService, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """With the documented directive nginx sends a run that was refused to the next replica."""
    draining, other = [await start_service() for _ in range(2)]
    draining.parts.draining.set()
    with nginx(tmp_path, [draining.port, other.port], NEXT) as url:
        for number in range(4):
            async with http.post(f"{url}/v1/generate", json={"prompt": f"{number}"}) as response:
                assert response.status == 200, await response.text()


async def test_a_client_that_leaves_is_noticed_through_nginx(
    start_service: StartService,
    http: aiohttp.ClientSession,
    tmp_path: Path,
    model: ScriptedModel,
) -> None:
    """Its leaving reaches the service, which closes the model's call."""
    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    service = await start_service(runs={"abandon_grace_seconds": 0})
    with nginx(tmp_path, [service.port]) as url:
        async with http.post(f"{url}/v1/generate", json={"prompt": "x"}, headers=SSE) as response:
            async for event in sse_events(response):
                if event.payload["type"] == "text.delta":
                    break
            response.close()

        assert await asyncio.to_thread(model.calls[0].closed.wait, 10)


async def test_a_stream_is_resumed_through_nginx(
    start_service: StartService, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """`Last-Event-ID` and 204 after the end pass it unchanged."""
    service = await start_service()
    run, _ = await start_async(http, service.url, prompt="x")
    direct = await follow(http, service.url, run)
    with nginx(tmp_path, [service.port]) as url:
        rest: list[SseEvent] = await follow(http, url, run, direct[1].id or "")

        assert rest == direct[2:]
        assert await follow(http, url, run, direct[-1].id or "") == []


async def test_a_socket_passes_with_the_documented_headers(
    start_service: StartService, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """With the upgrade passed on a WebSocket says what it says without nginx."""
    service = await start_service()
    with nginx(tmp_path, [service.port], SOCKET) as url:
        ws = await WsClient.connect(http, url)
        reply = await ws.ask(type="start", id="1", stream="a", input={"prompt": "x"})
        events = await ws.end_of("a")
        await ws.ws.close()

    assert events == [event.data for event in await follow(http, service.url, reply["run"])]
