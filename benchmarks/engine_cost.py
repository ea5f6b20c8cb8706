"""What one token costs: scripted model -> log -> SSE socket, CPU of the service process.

    python benchmarks/engine_cost.py [--tokens 20000] [--repeat 5] [--json out.json]

The service runs in this process, its readers in a child that only counts bytes, so that
`process_time` here is the service's alone. Each figure is the median of interleaved
repetitions; before anything is timed a reader checks that it gets every token.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson
from llm.parts import StreamEvent

from llm_stream import logs
from llm_stream.config import (
    HistorySection,
    LimitsSection,
    LocalSection,
    ModelsSection,
    RunsSection,
    Settings,
)
from llm_stream.models.chunks import Message
from llm_stream.recipes.spec import RunSpec
from llm_stream.testing import Script, ScriptedModel
from llm_stream.testing.service import RunningService, running_service
from llm_stream.web.process import list_no_generators, run_in_loop, settle_memory

READERS = (1, 2, 10, 50)


def read_streams(port: int, pipe: Connection) -> None:
    """Child: open `n` SSE streams of one run on demand, read them to the end, count bytes."""

    async def read(run: str, after: str) -> tuple[int, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write(
            f"GET /v1/runs/{run}/events?after={after} HTTP/1.1\r\nHost: localhost\r\n"
            "Accept: text/event-stream\r\nConnection: close\r\n\r\n".encode()
        )
        size = deltas = 0
        tail = b""
        while data := await reader.read(1 << 18):
            size += len(data)
            # A mark may lie across two reads; eleven bytes of overlap cannot hold a whole one.
            deltas += (tail + data).count(b'text.delta"')
            tail = data[-10:]
        writer.close()
        return size, deltas

    async def crowd(run: str, count: int) -> list[tuple[int, int]]:
        return await asyncio.gather(*(read(run, "0") for _ in range(count)))

    while (job := pipe.recv()) is not None:
        pipe.send(asyncio.run(crowd(*job)))


class Held(ScriptedModel):
    """A scripted model that begins when it is told to, so that readers are there first."""

    def hold(self) -> None:
        """The next prompt waits for `go`."""
        self.go = asyncio.Event()

    async def execute(self, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent]:
        """Wait, then say the script."""
        await self.go.wait()
        async for event in super().execute(*args, **kwargs):
            yield event


@dataclass(frozen=True)
class Bench:
    """The parts that every measurement needs."""

    service: RunningService
    model: Held
    pipe: Connection
    tokens: int


async def until(condition: Callable[[], object]) -> None:
    """Look every millisecond whether it holds."""
    while not condition():  # noqa: ASYNC110 - another process' doing is not an event here
        await asyncio.sleep(0.001)


async def measure(bench: Bench, mode: str, readers: int) -> float:
    """CPU microseconds a token, with so many readers."""
    model, pipe, tokens = bench.model, bench.pipe, bench.tokens
    model.scripts = [Script(chunks=(" token",) * tokens, burst=mode == "bursts", usage=(1, tokens))]
    model.calls.clear()
    model.hold()
    spec = RunSpec(
        recipe="generate", model="held", messages=(Message("user", f"{readers} {time.time()}"),)
    )
    run = (await bench.service.parts.launcher.launch(spec)).run
    if readers:
        pipe.send((run.id, readers))
        await until(lambda: run.readers == readers)
    gc.collect()  # the garbage of the repetition before is not this one's
    began = time.process_time()
    model.go.set()
    await until(lambda: run.done and not run.readers)
    spent = time.process_time() - began
    if readers:
        await until(pipe.poll)
        seen = {deltas for _, deltas in pipe.recv()}
        if seen != {tokens}:
            sys.exit(f"readers saw {seen} of {tokens} tokens")
    return spent / tokens * 1e6


async def main() -> None:
    """Measure, print, and check against the bars."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true", help="exit 1 when over a bar")
    options = parser.parse_args()
    settings = Settings(
        runs=RunsSection(max_log_bytes=1 << 28, on_disconnect="continue", retention_bytes=1),
        limits=LimitsSection(),
        models=ModelsSection(default="held", plugins=(), aliases={}),
        local=LocalSection(enabled=False),
        history=HistorySection(enabled=False),  # docs/performance.md measures it on its own
    )
    logs.configure("warning", "json")
    model = Held("held")
    results: dict[str, list[float]] = {}
    async with running_service(settings, [model]) as service:
        settle_memory()
        list_no_generators()
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=read_streams, args=(service.port, theirs), daemon=True)
        child.start()
        for mode in ("token by token", "bursts"):
            await measure(Bench(service, model, ours, 2000), mode, 1)
        for _ in range(options.repeat):
            for mode in ("token by token", "bursts"):
                for readers in (0, *READERS):
                    cost = await measure(Bench(service, model, ours, options.tokens), mode, readers)
                    results.setdefault(f"{mode}, {readers} readers", []).append(cost)
        ours.send(None)
        child.join(10)
    sample = {"type": "text.delta", "text": " token"}
    began = time.perf_counter()
    for _ in range(100_000):
        orjson.dumps(sample)
    medians = {name: statistics.median(costs) for name, costs in results.items()}
    medians["orjson.dumps of one payload"] = (time.perf_counter() - began) * 10
    print(f"{platform.machine()}, Python {platform.python_version()}, {options.tokens} tokens")
    for name, cost in medians.items():
        print(f"{name:32} {cost:8.2f} us of CPU a token")
    bars = {}
    for mode in ("token by token", "bursts"):
        one, fifty = medians[f"{mode}, 1 readers"], medians[f"{mode}, 50 readers"]
        bars[f"{mode}, one reader (bar 10)"] = one
        bars[f"{mode}, each further reader (bar 2)"] = (fifty - one) / 49
    for name, cost in bars.items():
        print(f"{name:42} {cost:6.2f}")
    if options.json:
        options.json.write_text(json.dumps(medians | bars, indent=1))
    over = [name for name, cost in bars.items() if cost > (10 if "one reader" in name else 2)]
    if options.check and over:
        sys.exit("over the bar: " + "; ".join(over))


if __name__ == "__main__":
    run_in_loop(main())
