"""What happens at more than the service can bear: how those it has admitted fare, and the rest.

    python benchmarks/overload.py [--streams 4000] [--late 0.05]

Streams of 20 tokens a second are asked for, more and more a second, from one process by another.
It prints how many were admitted, how far apart their tokens came, how many were refused, and how
fast.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from typing import cast

from llm_stream import logs
from llm_stream.config import (
    CacheSection,
    HistorySection,
    LimitsSection,
    LocalSection,
    ModelsSection,
    ServerSection,
    Settings,
)
from llm_stream.engine.load import LoadGuard
from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import running_service
from llm_stream.web.process import list_no_generators, run_in_loop, settle_memory

TOKENS = 100
GAP_SECONDS = 0.05
RISE_SECONDS = 10.0


def serve(pipe: Connection, late: float, streams: int) -> None:
    """Child: the service."""

    async def main() -> None:
        logs.configure("warning", "json")
        script = Script(chunks=words(TOKENS), delay_seconds=GAP_SECONDS)
        settings = Settings(
            server=ServerSection(port=0),
            history=HistorySection(enabled=False),
            cache=CacheSection(enabled=False),
            limits=LimitsSection(concurrent_runs=streams, queued_runs=0, late_seconds=late),
            models=ModelsSection(plugins=(), default="scripted", aliases={}),
            local=LocalSection(enabled=False),
        )
        async with running_service(settings, [ScriptedModel("scripted", script)]) as service:
            settle_memory()
            list_no_generators()
            pipe.send(service.url)
            await asyncio.to_thread(pipe.recv)

    run_in_loop(main())


class Figures:
    """What streams and refusals were like; seconds.

    Attributes:
        late: how late the measuring loop itself was, look by look.
    """

    def __init__(self) -> None:
        self.first: list[float] = []
        self.gaps: list[float] = []
        self.refusals: list[float] = []
        self.late: list[float] = []
        self.whole = 0
        self.broken = 0
        self.lost = 0


class Reader(asyncio.Protocol):
    """One stream, or a refusal, or a connection that was lost.

    It reads no HTTP, so that a process can have thousands and still tell when something came.
    """

    def __init__(self, host: str, number: int, figures: Figures) -> None:
        body = json.dumps({"prompt": str(number)})
        self._ask = (
            f"POST /v1/generate HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n{body}"
        )
        self._figures = figures
        self._began = self._last = time.perf_counter()
        self._said = self._refused = False
        self._tail = b""
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        cast("asyncio.Transport", transport).write(self._ask.encode())

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        now = time.perf_counter()
        if self._refused:
            return
        if self._said:
            self._figures.gaps.append(now - self._last)
        elif data.startswith(b"HTTP/1.1 200"):
            self._said = True
            self._figures.first.append(now - self._began)
        else:
            self._refused = True
            self._figures.refusals.append(now - self._began)
        self._last, self._tail = now, (self._tail + data)[-400:]

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if b"run.completed" in self._tail:
            self._figures.whole += 1
        elif self._said:
            self._figures.broken += 1
        elif not self._refused:
            self._figures.lost += 1
        self.over.set_result(None)


async def tried(host: str, number: int, figures: Figures) -> None:
    """Ask, and wait for the end."""
    name, _, port = host.partition(":")
    try:
        _, reader = await asyncio.get_running_loop().create_connection(
            lambda: Reader(host, number, figures), name, int(port)
        )
    except OSError:
        figures.lost += 1
        return
    await reader.over


async def crowd(url: str, streams: int) -> Figures:
    """So many streams, begun evenly over some seconds."""
    figures, load = Figures(), LoadGuard(0)
    watching = asyncio.create_task(load.watch(0.1, figures.late.append))
    host = url.removeprefix("http://")
    async with asyncio.TaskGroup() as group:
        for number in range(streams):
            group.create_task(tried(host, number, figures))
            await asyncio.sleep(RISE_SECONDS / streams)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return figures


def spread(seconds: list[float]) -> dict[str, int] | None:
    """Median and 99 of 100, ms."""
    if len(seconds) < 2:
        return None
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50": round(cuts[49] * 1e3), "p99": round(cuts[98] * 1e3)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=4000)
    parser.add_argument("--late", type=float, default=0.05)
    arguments = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, arguments.late, arguments.streams), daemon=True
    )
    child.start()
    figures = run_in_loop(crowd(ours.recv(), arguments.streams))
    ours.send(None)
    child.join(20)
    print(
        json.dumps(
            {
                "streams": arguments.streams,
                "whole": figures.whole,
                "broken": figures.broken,
                "lost": figures.lost,
                "first_byte_ms": spread(figures.first),
                "gap_ms": spread(figures.gaps),
                "refused": len(figures.refusals),
                "refusal_ms": spread(figures.refusals),
                "measured_late_ms": spread(figures.late),
            },
        )
    )


if __name__ == "__main__":
    main()
