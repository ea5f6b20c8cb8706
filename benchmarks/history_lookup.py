"""What the history costs: finding an answer among 100,000, listing them, and writing runs.

    python benchmarks/history_lookup.py

The database is a new one in a temporary folder. Each answer has 200 chunks of text (`--chunks`).
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

from ulid import ULID

from llm_stream.cache.stored import Stored
from llm_stream.engine.recording import Recording
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Outcome, RunInfo
from llm_stream.history import sidetable
from llm_stream.history.database import open_store, transaction
from llm_stream.history.history import History
from llm_stream.history.packing import pack
from llm_stream.history.past import Asked
from llm_stream.models.chunks import Message
from llm_stream.payloads import Payload
from llm_stream.recipes.spec import RunSpec
from llm_stream.web.problems import problem
from llm_stream.web.process import settle_memory

MARKS = {"/all:": 0, "/recipe:generate": 0, "/model:m": 0}
BAR_MS = 2.0
CHUNKS = 200
LISTS = {
    "first 50": Asked("", 50),
    "50 from the middle": Asked("", 50, "filled 5"),
    "first 1,000": Asked("", 1000),
    "none of 100,000": Asked("", 50, state="failed"),
}


async def say(chunks: int) -> AsyncGenerator[Payload | Outcome]:
    """An answer of so many chunks."""
    for place in range(chunks):
        yield {"type": "text.delta", "text": f" word{place}"}
    yield Outcome("stop")


async def ended(number: int, chunks: int = CHUNKS) -> tuple[RunSpec, Run]:
    """A run that has ended, as the launcher hands it over."""
    prompt = f"A prompt that is like any other, number {number}."
    spec = RunSpec(recipe="generate", model="m", messages=(Message("user", prompt),))
    info = RunInfo(id=f"run_{ULID()}", recipe="generate", model="m", key=spec.fingerprint())
    run = Run(info, max_log_bytes=1 << 20, describe_error=problem)
    finished = asyncio.get_running_loop().create_future()
    run.on_finished(finished.set_result)
    run.start(say(chunks))
    await finished
    return spec, run


def fill(path: Path, run: Run, count: int) -> int:
    """Rows as the writer makes them, without llm's tables; bytes of the file."""
    connection = open_store(path).db.conn
    entry = Stored(recording=Recording.of(run), request=b"{}", marks=MARKS, fresh_seconds=86_400)
    row = sidetable.Row(
        run="", fingerprint="", recipe="generate", model="m", status="completed",
        error_code=None, partial=False, created_at=0, ended_at=0, total_ms=0, owner="",
        parent=None, expires_at=time.time() + 86_400, entry=pack(entry),
        names=tuple(MARKS),
    )  # fmt: skip
    with transaction(connection):
        for number in range(count):
            made = replace(row, run=f"filled {number}", fingerprint=f"{number:064x}")
            sidetable.write(connection, [replace(made, ended_at=time.time())])
    connection.close()
    return path.stat().st_size


def quantiles(seconds: list[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return f"median {cuts[49] * 1000:6.2f} ms, p99 {cuts[98] * 1000:6.2f} ms"


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=2_000, help="runs to write")
    parser.add_argument("--chunks", type=int, default=CHUNKS, help="chunks of text of an answer")
    options = parser.parse_args()
    runs = [await ended(number, options.chunks) for number in range(options.runs)]
    settle_memory()  # as the service does
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logs.db"
        size = fill(path, runs[0][1], options.rows)
        print(f"{options.rows} answers of {options.chunks} chunks, {size >> 20} MiB")
        history = History(path, days=30, max_bytes=1 << 40, fresh_seconds=86_400)
        history.start()
        await history.forget()
        for what, step in (("found", 7919), ("absent", -1)):
            seconds = []
            for number in range(1, 2001):
                key = (
                    f"{number * step % options.rows:064x}"
                    if step > 0
                    else f"{'f' * 40}{number:024x}"
                )
                began = time.perf_counter()
                entry = await history.find(key)
                seconds.append(time.perf_counter() - began)
                if (entry is not None) != (step > 0):
                    raise SystemExit("the look-up is wrong")
            print(f"look-up, {what:7} {quantiles(seconds)} (bar {BAR_MS:g})")
        for what, asked in LISTS.items():
            seconds = []
            for _ in range(200):
                began = time.perf_counter()
                await history.past.newest(asked)
                seconds.append(time.perf_counter() - began)
            print(f"list, {what:20} {quantiles(seconds)}")
        seconds = []
        began, spent = time.perf_counter(), time.process_time()
        for spec, run in runs:
            start = time.perf_counter()
            history.record(spec, run, MARKS)
            seconds.append(time.perf_counter() - start)
        while history.facts().queued:
            await history.forget()
        took, spent = time.perf_counter() - began, time.process_time() - spent
        print(f"record() on the loop {quantiles(seconds)}")
        each = spent / options.runs * 1000
        print(f"writing {options.runs / took:.0f} runs/s, {each:.2f} ms of CPU each")
        facts = history.facts()
        if (facts.written, facts.dropped, facts.failures) != (options.runs, 0, 0):
            raise SystemExit(f"runs are missing: {facts}")
        await history.close()


if __name__ == "__main__":
    asyncio.run(main())
