"""Server-Sent Events: grammar, headers, resume, heartbeats, goaway, stalled readers."""

import asyncio
import re
from typing import Any

import aiohttp
import pytest

from llm_stream.errors import UpstreamRejected
from llm_stream.events import decoded
from llm_stream.testing import Fault, Script, ScriptedModel, words
from llm_stream.testing.service import RunningService

from .. import peers
from ..conftest import StartService
from ..wire import SSE, ended, follow, speaking, sse_events, start_async, until

STALL = Script(chunks=words(3), fault=Fault(at=1, stall=True))


async def test_a_post_can_be_streamed(service: RunningService, http: aiohttp.ClientSession) -> None:
    """Accept: text/event-stream streams the run in the reply, from its first event to its last."""
    async with http.post(
        f"{service.url}/v1/generate", json={"prompt": "x"}, headers=SSE
    ) as response:
        events = [event async for event in sse_events(response)]

    assert response.status == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["X-Run-Id"] == events[0].payload["run"]
    assert [event.id for event in events] == [f"1-{n}" for n in range(1, 8)]
    assert all(event.event is None for event in events)
    assert events[-1].payload["type"] == "run.completed"


async def test_a_failure_before_anything_was_sent_has_a_status(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A model that fails in its first step is a problem with a status, not a 200."""
    model.scripts = [Script(fault=Fault(error=UpstreamRejected("400")))]
    async with http.post(
        f"{service.url}/v1/generate", json={"prompt": "x"}, headers=SSE
    ) as response:
        assert response.status == 502
        assert (await response.json())["code"] == "upstream_rejected"


async def test_a_failure_in_mid_stream_is_the_last_event(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """After the first byte the stream ends with `run.failed`, never just so."""
    model.scripts = [Script(fault=Fault(at=2, error=ConnectionError("reset")))]
    async with http.post(
        f"{service.url}/v1/generate", json={"prompt": "x"}, headers=SSE
    ) as response:
        events = [event async for event in sse_events(response)]

    assert response.status == 200
    assert events[-1].payload["type"] == "run.failed"


async def test_last_event_id_wins_over_after(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """Both given, the header decides; it is exclusive."""
    run, _ = await start_async(http, service.url, prompt="x")
    await ended(service.parts.registry.find(run))
    async with http.get(
        f"{service.url}/v1/runs/{run}/events?after=1-1", headers={**SSE, "Last-Event-ID": "1-4"}
    ) as response:
        events = [event async for event in sse_events(response)]

    assert [event.id for event in events] == ["1-5", "1-6", "1-7"]


async def test_after_the_end_there_is_204(
    service: RunningService, http: aiohttp.ClientSession
) -> None:
    """A reconnect with the terminal id is told to stop, the only way EventSource understands."""
    run, _ = await start_async(http, service.url, prompt="x")
    events = await follow(http, service.url, run)

    async with http.get(
        f"{service.url}/v1/runs/{run}/events", headers={**SSE, "Last-Event-ID": events[-1].id or ""}
    ) as response:
        assert response.status == 204


async def test_now_means_only_what_comes(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """`after=now` skips what is there and goes on live."""
    model.scripts = [STALL]
    run, _ = await start_async(http, service.url, prompt="x")
    await speaking(model)
    async with http.get(f"{service.url}/v1/runs/{run}/events?after=now", headers=SSE) as response:
        service.parts.registry.find(run).cancel("requested")
        events = [event async for event in sse_events(response)]

    assert [event.payload["type"] for event in events] == ["run.cancelled"]


async def test_silence_is_filled_with_heartbeats(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """A named event without id comes while the model is silent, and nothing else."""
    service = await start_service(server={"heartbeat_seconds": 0.05})
    model.scripts = [STALL]
    run, _ = await start_async(http, service.url, prompt="x")
    said = b""
    async with http.get(f"{service.url}/v1/runs/{run}/events", headers=SSE) as response:
        while said.count(b"event: heartbeat\n") < 4:
            said += await response.content.readany()
    whole = said.split(b"\n\n")[:-1]
    beats = [event for event in whole if not event.startswith(b"id: ")]

    assert len(beats) >= 3
    assert all(re.fullmatch(rb"event: heartbeat\ndata: \{.*\}", beat) for beat in beats)


async def test_a_drain_is_announced(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Readers get a goaway with a time to come back; their stream goes on to its end."""
    model.scripts = [STALL]
    run, _ = await start_async(http, service.url, prompt="x")
    async with http.get(f"{service.url}/v1/runs/{run}/events", headers=SSE) as response:
        service.parts.draining.set()
        names = []
        async for event in sse_events(response):
            names.append(event.event or event.payload["type"])
            if event.event == "goaway":
                assert 500 <= event.payload["reconnect_after_ms"] < 3000
                service.parts.registry.find(run).cancel("shutdown")

    assert names[-2:] == ["goaway", "run.cancelled"]


async def test_a_reader_that_leaves_is_noticed_at_once(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """Leaving is not a cancel: the run goes on, and is abandoned after its grace."""
    service = await start_service(runs={"abandon_grace_seconds": 0.0})
    model.scripts = [STALL]
    response = await http.post(f"{service.url}/v1/generate", json={"prompt": "x"}, headers=SSE)
    run = service.parts.registry.find(response.headers["X-Run-Id"])
    assert run.readers == 1

    response.close()
    await ended(run)

    assert decoded(run.events()[-1])["reason"] == "abandoned"
    assert model.calls[0].closed.is_set()


async def test_the_callers_policy_decides_about_leaving(
    start_service: StartService, http: aiohttp.ClientSession, model: ScriptedModel
) -> None:
    """With on_disconnect `continue` the run outlives its last reader."""
    service = await start_service(runs={"abandon_grace_seconds": 0.0})
    model.scripts = [STALL]
    response = await http.post(
        f"{service.url}/v1/generate", json={"prompt": "x", "on_disconnect": "continue"}, headers=SSE
    )
    run = service.parts.registry.find(response.headers["X-Run-Id"])
    response.close()
    while run.readers:
        await asyncio.sleep(0)

    assert not run.done


async def test_a_reader_that_never_reads_is_cut(
    start_service: StartService, model: ScriptedModel
) -> None:
    """After `stall_seconds` without a byte of progress the connection is gone, the run is not."""
    service = await start_service(server={"stall_seconds": 0.2, "send_buffer_bytes": 4096})
    model.scripts = [Script(chunks=("x" * 1000,) * 3000, burst=True)]
    with peers.connect(service.port, receive_buffer_bytes=peers.LITTLE_BYTES) as reader:
        reader.sendall(peers.post({"prompt": "x", "on_disconnect": "continue"}))
        await until(lambda: model.calls)
        run = next(service.parts.registry.newest())
        await until(lambda: not run.readers)

    assert run.state == "completed"
    metrics = service.parts.metrics.registry
    assert metrics.get_sample_value("llm_stream_slow_readers_total") == 1


@pytest.mark.parametrize("text", ["line\nbreak", "cr\r\nlf", "\u2028", "data: x\n\nid: 9", "\x00"])
async def test_text_cannot_break_the_framing(
    service: RunningService, http: aiohttp.ClientSession, model: ScriptedModel, text: Any
) -> None:
    """Whatever a model says stays inside its event."""
    model.scripts = [Script(chunks=(text,))]
    run, _ = await start_async(http, service.url, prompt="x")
    events = await follow(http, service.url, run)

    assert events[1].payload["text"] == text
    assert [event.id for event in events] == ["1-1", "1-2", "1-3", "1-4"]
