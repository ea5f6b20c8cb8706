"""Fault 9: readers that do not read, or hardly, beside readers that do."""

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from ..peers import connect
from ..process import measured, resident_bytes
from ..replica import Replica, replicas
from ..wire import SSE, sse_events, start_async

READERS = 100
CHUNKS = 600
PADDING = 1000
STALL_SECONDS = 2.5
SILENT_SECONDS = 5


class SlowReader:
    """A reader that takes so many bytes each second, as told by who calls `tick` once a second."""

    def __init__(self, replica: Replica, run: str, bytes_per_second: int) -> None:
        self.rate = bytes_per_second
        self._peer = connect(replica.port, receive_buffer_bytes=4096, segment_bytes=1400)
        self._peer.sendall(
            f"GET /v1/runs/{run}/events HTTP/1.1\r\nHost: localhost\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )
        self._peer.setblocking(False)

    def tick(self) -> None:
        """Take the bytes of one second, if they are there."""
        with suppress(BlockingIOError, ConnectionResetError):
            if self.rate:
                self._peer.recv(self.rate)

    async def rest(self) -> bool:
        """Take all that is left, fast; whether the stream comes to its end."""
        loop = asyncio.get_running_loop()
        tail = b""
        # A kernel that has given up a connection tells its peer nothing, unless asked.
        with suppress(ConnectionResetError, TimeoutError):
            while b'"type":"run.completed"' not in tail:
                async with asyncio.timeout(SILENT_SECONDS):
                    data = await loop.sock_recv(self._peer, 65_536)
                if not data:
                    return False
                tail = (tail + data)[-1000:]
            return True
        return False

    def close(self) -> None:
        """Leave."""
        self._peer.close()


async def read_fast(http: aiohttp.ClientSession, url: str) -> str:
    """The hash of all events of a stream; pings come to each reader at its own time."""
    digest = hashlib.sha256()
    async with http.get(url, headers=SSE) as response:
        async for line in response.content:
            if line.startswith((b"id:", b"data:")):
                digest.update(line)
    return digest.hexdigest()


async def seconds_of(
    http: aiohttp.ClientSession, url: str, late_ms: list[float]
) -> AsyncIterator[int]:
    """Once a second of a stream's own time, and how late each of its events was in `late_ms`.

    Late against the earliest one: what both clocks differ by is not known.
    """
    loop = asyncio.get_running_loop()
    second = 0
    async with http.get(url, headers=SSE) as response:
        async for event in sse_events(response):
            if event.event is None:
                at_ms = event.payload["t_ms"]
                late_ms.append(loop.time() * 1000 - at_ms)
                if at_ms > second * 1000:
                    second += 1
                    yield second


def p99(late_ms: list[float]) -> float:
    """The 99th percentile of how late events were, in milliseconds."""
    least = min(late_ms)
    return sorted(late - least for late in late_ms)[math.ceil(len(late_ms) * 0.99) - 1]


@dataclass
class Figures:
    """What a crowd of readers has cost.

    Attributes:
        p99_ms: how late the 99th percentile of events was at a reader that reads.
        growth_bytes: by how much the service has grown while readers fell behind.
        answers: hashes of what each fast reader got.
        cut: connections that the service has ended.
        kept: slow readers whose stream is whole in the end.
    """

    p99_ms: float
    growth_bytes: int
    answers: set[str]
    cut: int
    kept: int


async def cut_by(http: aiohttp.ClientSession, replica: Replica) -> int:
    """How many connections it says to have cut."""
    async with http.get(f"{replica.url}/metrics") as response:
        text = await response.text()
    (count,) = re.findall(r"^llm_stream_slow_readers_total (\S+)$", text, re.MULTILINE)
    return int(float(count))


async def crowd(folder: Path, chunks: int, stall_seconds: float, rates: Sequence[int]) -> Figures:
    """100 fast readers of a run, and one slow reader for each of these bytes a second."""
    server = {"stall_seconds": stall_seconds}
    silent = rates.count(0)
    with ExitStack() as stack:
        (replica,) = stack.enter_context(
            replicas(folder, count=1, chunks=chunks, padding=PADDING, server=server)
        )
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            run, _ = await start_async(http, replica.url, prompt="x", on_disconnect="continue")
            url = f"{replica.url}/v1/runs/{run}/events"
            fast = [asyncio.create_task(read_fast(http, url)) for _ in range(READERS)]
            slow = [SlowReader(replica, run, rate) for rate in rates]
            for reader in slow:
                stack.callback(reader.close)
            sizes: list[int] = []
            late_ms: list[float] = []
            async for _ in seconds_of(http, url, late_ms):
                sizes.append(resident_bytes(replica.process.pid))
                for reader in slow:
                    reader.tick()
            answers = set(await asyncio.gather(*fast))
            while (cut := await cut_by(http, replica)) < silent:
                pass
        kept = sum(await asyncio.gather(*(reader.rest() for reader in slow)))
    return Figures(p99(late_ms), max(sizes) - sizes[0], answers, cut, kept)


def mixed(slow: int) -> list[int]:
    """Rates of slow readers: a third reads nothing, a third is only slow.

    A third reads 1 B/s: whether the kernel lets a few of those bytes through in time is its doing.
    """
    return [(0, 1, slow)[number % 3] for number in range(READERS)]


@pytest.mark.slow
async def test_slow_readers_are_cut_and_cost_little(tmp_path: Path) -> None:
    """Who takes nothing is cut, who takes a little stays, the fast get all; memory is bounded."""
    rates = mixed(4096)
    figures = await crowd(tmp_path, CHUNKS, STALL_SECONDS, rates)

    assert len(figures.answers) == 1
    assert figures.cut >= rates.count(0)
    assert figures.kept >= rates.count(4096)
    assert figures.cut + figures.kept == READERS
    assert figures.growth_bytes < 20 << 20


@pytest.mark.soak
async def test_fast_readers_do_not_feel_slow_ones(tmp_path: Path) -> None:
    """With the default half a minute: who reads 1 KB/s stays; the p99 of the fast is unchanged."""
    rates = mixed(1024)
    alone = await crowd(tmp_path, 4000, 30, [])
    beside = await crowd(tmp_path, 4000, 30, rates)
    measured("alone", alone)
    measured("beside", beside)

    assert (len(alone.answers), len(beside.answers)) == (1, 1)
    assert beside.cut >= rates.count(0)
    assert beside.kept >= rates.count(1024)
    # What 100 readers hold, beside the log.
    assert beside.growth_bytes - alone.growth_bytes < READERS * 65_536
    # On a shared machine both are mostly noise of some milliseconds.
    assert beside.p99_ms < alone.p99_ms * 1.2 + 20
