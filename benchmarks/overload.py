"""What happens at more than the service can bear: how those it has admitted fare, and the rest.

    python benchmarks/overload.py [--streams 400] [--late 0.5]

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

import aiohttp

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
from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import running_service
from llm_stream.web.process import run_in_loop, settle_memory

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
            pipe.send(service.url)
            await asyncio.to_thread(pipe.recv)

    run_in_loop(main())


class Figures:
    """What streams and refusals were like; seconds."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self.refusals: list[float] = []
        self.whole = 0
        self.broken = 0
        self.lost = 0


async def stream(http: aiohttp.ClientSession, url: str, number: int, figures: Figures) -> None:
    """One stream, or a refusal."""
    began = time.perf_counter()
    async with http.post(
        f"{url}/v1/generate", json={"prompt": str(number)}, headers={"Accept": "text/event-stream"}
    ) as response:
        if response.status != 200:
            figures.refusals.append(time.perf_counter() - began)
            return
        last, tail = None, b""
        async for data in response.content.iter_any():
            now = time.perf_counter()
            if last is not None:
                figures.gaps.append(now - last)
            last, tail = now, (tail + data)[-400:]
        if b"run.completed" in tail:
            figures.whole += 1
        else:
            figures.broken += 1


async def tried(http: aiohttp.ClientSession, url: str, number: int, figures: Figures) -> None:
    """One stream, or a refusal, or a connection that was lost."""
    try:
        await stream(http, url, number, figures)
    except aiohttp.ClientError:
        figures.lost += 1


async def crowd(url: str, streams: int) -> Figures:
    """So many streams, begun evenly over some seconds."""
    figures = Figures()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as group:
        for number in range(streams):
            group.create_task(tried(http, url, number, figures))
            await asyncio.sleep(RISE_SECONDS / streams)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=3000)
    parser.add_argument("--late", type=float, default=0.5)
    arguments = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, arguments.late, arguments.streams), daemon=True
    )
    child.start()
    figures = run_in_loop(crowd(ours.recv(), arguments.streams))
    ours.send(None)
    child.join(20)
    quantiles = statistics.quantiles(figures.gaps, n=100) if len(figures.gaps) > 1 else [0.0] * 99
    refusals = statistics.quantiles(figures.refusals, n=100) if len(figures.refusals) > 1 else None
    print(
        json.dumps(
            {
                "streams": arguments.streams,
                "whole": figures.whole,
                "broken": figures.broken,
                "lost": figures.lost,
                "gap_ms": {"p50": round(quantiles[49] * 1e3), "p99": round(quantiles[98] * 1e3)},
                "refused": len(figures.refusals),
                "refusal_ms": refusals
                and {"p50": round(refusals[49] * 1e3), "p99": round(refusals[98] * 1e3)},
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
