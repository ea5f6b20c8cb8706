"""The process: a socket with a small buffer, and a drain that no reader notices."""

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from llm_stream.web.server import listen

from ..replica import Replica, replicas
from ..wire import SSE, WsClient, sse_events


@contextmanager
def process(folder: Path, drain_seconds: float) -> Iterator[Replica]:
    """A service in a process of its own, with a history and a slow model."""
    server, history = {"drain_seconds": drain_seconds}, {"enabled": True}
    with replicas(folder, count=1, chunks=60, server=server, history=history) as (replica,):
        yield replica


async def status(replica: Replica, seconds: float = 10) -> int:
    """What the process ends with, within that time."""
    return await asyncio.to_thread(replica.process.wait, seconds)


@pytest.mark.slow
async def test_sigterm_lets_runs_finish(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Readers get goaway and all their events; new runs are refused; exit 0."""
    with process(tmp_path, 20) as service:
        ws = await WsClient.connect(http, service.url)
        await ws.ask(type="start", id="1", stream="a", input={"prompt": "x"})
        async with http.post(
            f"{service.url}/v1/generate", json={"prompt": "y"}, headers=SSE
        ) as response:
            names = []
            async for event in sse_events(response):
                names.append(event.event or event.payload["type"])
                if len(names) == 5:
                    service.process.send_signal(signal.SIGTERM)
                if event.event == "goaway":
                    async with (
                        http.get(f"{service.url}/readyz") as ready,
                        http.get(f"{service.url}/livez") as live,
                    ):
                        assert (ready.status, live.status) == (503, 200)
                    async with http.post(
                        f"{service.url}/v1/generate", json={"prompt": "z"}
                    ) as refused:
                        assert (await refused.json())["code"] == "draining"
        on_socket = await ws.end_of("a")
        with pytest.raises(ConnectionError):
            await ws.until(lambda: False)

        assert await status(service) == 0

    assert names.count("goaway") == 1
    assert names.count("text.delta") == 60
    assert names[-1] == "run.completed"
    assert json.loads(on_socket[-1])["type"] == "run.completed"
    assert ws.ws.close_code == 4512


@pytest.mark.slow
async def test_at_the_end_of_the_drain_runs_are_cancelled(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """What does not end in time ends as cancelled by shutdown, and its reader is told."""
    with process(tmp_path, 0) as service:
        async with http.post(
            f"{service.url}/v1/generate", json={"prompt": "y"}, headers=SSE
        ) as response:
            last = None
            async for event in sse_events(response):
                if last is None:
                    service.process.send_signal(signal.SIGTERM)
                last = event

        assert await status(service) == 0

    assert last is not None
    assert last.payload["type"] == "run.cancelled"
    assert last.payload["reason"] == "shutdown"


@pytest.mark.slow
async def test_a_second_signal_ends_the_process_at_once(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Who cannot wait sends SIGTERM twice; the last line of the log is written all the same."""
    with process(tmp_path, 600) as service:
        response = await http.post(f"{service.url}/v1/generate", json={"prompt": "y"}, headers=SSE)
        service.process.send_signal(signal.SIGTERM)
        async for event in sse_events(response):
            if event.event == "goaway":
                break
        service.process.send_signal(signal.SIGINT)

        assert await status(service, 1) == 0

    assert '"drain.ended"' in (tmp_path / "replica.log").read_text()


def test_accepted_connections_have_a_small_send_buffer() -> None:
    """The buffer of the listening socket is what connections inherit."""
    bound = listen("127.0.0.1", 0, 16_384)
    bound.listen()
    with bound, socket.create_connection(bound.getsockname()) as client:
        accepted, _ = bound.accept()
        with accepted, client:
            # Linux doubles the value for its own bookkeeping.
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 32_768


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
