"""What a start costs: CPU until it serves, memory at rest, beside what libraries take.

    python benchmarks/start_cost.py [--times 5]

Each row is a process of its own, without the embedded model, in an empty home; medians. CPU is
user and system time, which other work on the machine changes less than the clock. "Libraries" is
what the project has to have and nothing of the project: imports, and an aiohttp server without
routes. Memory depends on what is installed beside the service: use an environment without the
test extra (rich and OpenTelemetry are imported where they are found).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

REST_SECONDS = 0.5

LIBRARIES = """
import asyncio, sys
sys.modules["redis"] = None  # aiocache takes it where it is installed
import aiocache, aiohttp_sse, async_timeout, llm, orjson, prometheus_async.aio, uvloop
from aiohttp import web

async def main():
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"serves on {site._server.sockets[0].getsockname()}", flush=True)
    await asyncio.Event().wait()

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""

SERVE = ["-m", "llm_stream", "serve", "--port", "0", "--log-format", "json"]
OFF = {"LLM_STREAM__LOCAL__ENABLED": "false"}
ROWS: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {
    "python": (["-c", "import time; print('serves on', flush=True); time.sleep(60)"], {}),
    "libraries": (["-c", LIBRARIES], {}),
    "service, plugins = []": (SERVE, OFF | {"LLM_STREAM__MODELS__PLUGINS": "[]"}),
    "service, all plugins": (SERVE, OFF),
}


def measured(arguments: Sequence[str], settings: Mapping[str, str]) -> tuple[float, float, float]:
    """Start it until it says where it serves; CPU seconds, MB of RSS, MB of it not of files."""
    root = str(Path(__file__).resolve().parent.parent)
    with tempfile.TemporaryDirectory() as home:
        own = {name: value for name, value in os.environ.items() if not name.startswith("LLM_")}
        process = subprocess.Popen(  # noqa: S603 - this project's own program
            [sys.executable, *arguments],
            cwd=home,
            env=own | {"LLM_USER_PATH": home, "HOME": home, "PYTHONPATH": root} | dict(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            said = process.stdout or ()
            if not any("serves on" in line for line in said):
                raise SystemExit(f"{arguments} ended with {process.wait()}")
            fields = Path(f"/proc/{process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
            cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            time.sleep(REST_SECONDS)
            status = Path(f"/proc/{process.pid}/status").read_text("ascii").splitlines()
            kib = {line.split()[0]: line.split()[-2] for line in status if line.endswith(" kB")}
            return cpu, int(kib["VmRSS:"]) / 1024, int(kib["RssAnon:"]) / 1024
        finally:
            process.kill()
            process.communicate()


def main() -> None:
    """Measure every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=5, help="starts of each (5)")
    times = parser.parse_args().times
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ROWS}
    for _ in range(times):
        for name, row in ROWS.items():
            found[name].append(measured(*row))
    print("| | CPU s | RSS MB | not of files MB |\n|---|--:|--:|--:|")
    for name, rows in found.items():
        cpu, rss, anonymous = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {name} | {cpu:.2f} | {rss:.0f} | {anonymous:.0f} |")


if __name__ == "__main__":
    main()
