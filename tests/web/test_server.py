"""The process: a socket with a small buffer, and a drain that no reader notices."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from llm_stream.web.server import listen

from ..wire import SSE, WsClient, sse_events

PROGRAM = """
import asyncio, sys
from llm_stream import logs
from llm_stream.config import LimitsSection, LocalSection, ModelsSection, ServerSection, Settings
from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.web.process import run_in_loop
from llm_stream.web.server import run

settings = Settings(
    server=ServerSection(port=0, drain_seconds=float(sys.argv[1])),
    models=ModelsSection(default="slow", plugins=[], aliases={}),
    limits=LimitsSection(late_seconds=0),
    local=LocalSection(enabled=False),
)
model = ScriptedModel("slow", Script(chunks=words(60), delay_seconds=0.01))
logs.configure("info", "json")
sys.exit(run_in_loop(run(settings, lambda address, _: print(address, flush=True), [model])))
"""


@asynccontextmanager
async def process(drain_seconds: Any) -> AsyncGenerator[Any]:
    """A service in a process of its own, its address, and a way to end it."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(drain_seconds),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert started.stdout
        assert started.stderr
        url = (await started.stdout.readline()).decode().strip()
        assert url.startswith("http://"), (await started.stderr.read()).decode()
        yield started, url
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


@pytest.mark.slow
async def test_sigterm_lets_runs_finish(http: aiohttp.ClientSession) -> None:
    """Readers get goaway and all their events; new runs are refused; exit 0."""
    async with process(20) as (service, url):
        ws = await WsClient.connect(http, url)
        await ws.ask(type="start", id="1", stream="a", input={"prompt": "x"})
        async with http.post(f"{url}/v1/generate", json={"prompt": "y"}, headers=SSE) as response:
            names = []
            async for event in sse_events(response):
                names.append(event.event or event.payload["type"])
                if len(names) == 5:
                    service.send_signal(signal.SIGTERM)
                if event.event == "goaway":
                    async with http.get(f"{url}/readyz") as ready, http.get(f"{url}/livez") as live:
                        assert (ready.status, live.status) == (503, 200)
                    async with http.post(f"{url}/v1/generate", json={"prompt": "z"}) as refused:
                        assert (await refused.json())["code"] == "draining"
        on_socket = await ws.end_of("a")
        with pytest.raises(ConnectionError):
            await ws.until(lambda: False)

        assert await asyncio.wait_for(service.wait(), 10) == 0

    assert names.count("goaway") == 1
    assert names.count("text.delta") == 60
    assert names[-1] == "run.completed"
    assert json.loads(on_socket[-1])["type"] == "run.completed"
    assert ws.ws.close_code == 4512


@pytest.mark.slow
async def test_at_the_end_of_the_drain_runs_are_cancelled(http: aiohttp.ClientSession) -> None:
    """What does not end in time ends as cancelled by shutdown, and its reader is told."""
    async with process(0) as (service, url):
        async with http.post(f"{url}/v1/generate", json={"prompt": "y"}, headers=SSE) as response:
            last = None
            async for event in sse_events(response):
                if last is None:
                    service.send_signal(signal.SIGTERM)
                last = event

        assert await asyncio.wait_for(service.wait(), 10) == 0

    assert last is not None
    assert last.payload["type"] == "run.cancelled"
    assert last.payload["reason"] == "shutdown"


@pytest.mark.slow
async def test_a_second_signal_ends_the_process_at_once(http: aiohttp.ClientSession) -> None:
    """Who cannot wait sends SIGTERM twice."""
    async with process(600) as (service, url):
        response = await http.post(f"{url}/v1/generate", json={"prompt": "y"}, headers=SSE)
        service.send_signal(signal.SIGTERM)
        async for event in sse_events(response):
            if event.event == "goaway":
                break
        service.send_signal(signal.SIGINT)

        assert await asyncio.wait_for(service.wait(), 1) == 0


def test_accepted_connections_have_a_small_send_buffer() -> None:
    """The buffer of the listening socket is what connections inherit."""
    bound = listen("127.0.0.1", 0, 16_384)
    bound.listen()
    with bound, socket.create_connection(bound.getsockname()) as client:
        accepted, _ = bound.accept()
        with accepted, client:
            # Linux doubles the value for its own bookkeeping.
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 32_768


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux names them")
def test_accepted_connections_are_probed_within_the_time() -> None:
    """The kernel asks a silent peer in time to end its connection after so many seconds."""
    bound = listen("127.0.0.1", 0, 16_384, silent_seconds=30)
    bound.listen()
    with bound, socket.create_connection(bound.getsockname()) as client:
        accepted, _ = bound.accept()
        with accepted, client:
            idle, interval, count = (
                accepted.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert idle + interval * count <= 30


def test_a_taken_address_raises() -> None:
    """Two services on one port: the second says so."""
    with listen("127.0.0.1", 0, 16_384) as bound:
        bound.listen()
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", bound.getsockname()[1], 16_384)
