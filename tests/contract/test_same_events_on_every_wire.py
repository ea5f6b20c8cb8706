"""Every wire says the same: one log, one encoding."""

import hashlib
import json

import aiohttp

from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from ..wire import WsClient, follow, start_async


async def test_sse_ws_and_pages_carry_the_same_bytes(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """The data of each event is byte for byte equal on SSE, on the socket and in a page."""
    model.scripts = [Script(chunks=words(200), reasoning=("hm",))]
    run, _ = await start_async(http, service.url, prompt="x")
    by_sse = [event.data for event in await follow(http, service.url, run)]
    ws = await WsClient.connect(http, service.url)
    await ws.ask(type="subscribe", id="1", streams=[{"stream": "a", "run": run}])
    by_ws = await ws.end_of("a")
    async with http.get(f"{service.url}/v1/runs/{run}/events?limit=1000") as response:
        page = await response.read()
    await ws.ws.close()

    assert by_sse == by_ws
    assert page.startswith(b'{"events":[' + b",".join(by_sse) + b"]")


async def test_the_text_is_its_hash_on_every_road(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Concatenated deltas, snapshot and JSON answer are the text that text_sha256 hashes."""
    model.scripts = [Script(chunks=words(200))]
    async with http.post(f"{service.url}/v1/generate", json={"prompt": "x"}) as response:
        answer = await response.json()
    events = [e.payload for e in await follow(http, service.url, answer["id"])]
    async with http.get(f"{service.url}/v1/runs/{answer['id']}") as response:
        snapshot = await response.json()

    deltas = "".join(e["text"] for e in events if e["type"] == "text.delta")
    assert deltas == answer["text"] == snapshot["text"] == "".join(words(200))
    assert events[-1]["text_sha256"] == hashlib.sha256(deltas.encode()).hexdigest()
    assert events[-1]["text_chars"] == len(deltas)


async def test_every_event_has_its_frame(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """id, run, t_ms and type come first, ids are contiguous, time does not run backwards."""
    run, _ = await start_async(http, service.url, prompt="x")
    events = await follow(http, service.url, run)

    for number, event in enumerate(events, 1):
        assert list(event.payload)[:4] == ["id", "run", "t_ms", "type"]
        assert event.payload["id"] == event.id == f"1-{number}"
        assert event.payload["run"] == run
        assert json.loads(event.data) == event.payload
    times = [event.payload["t_ms"] for event in events]
    assert times == sorted(times)
