"""Whether memory comes back: a hundred thousand short runs, and a look at the process."""

import time
from typing import Final

from benchmarks.speed import systems
from benchmarks.speed.load import Job
from benchmarks.speed.measuring import Bench, Rows, Wrong
from benchmarks.speed.processes import Running

RETENTION_SECONDS: Final = 3
BOUNDED: Final = f"""
[runs]
retention_seconds = {RETENTION_SECONDS}
[cache]
max_entries = 500
"""
"""What is kept on purpose is at its bound before the first look."""

ROUNDS: Final = 10
WARM: Final = 5000


def asked(system: Running, bench: Bench, runs: int) -> None:
    """So many runs, half of them streamed, and time until they have expired.

    Raises:
        Wrong: an answer was lost.
    """
    for kind in ("json", "streams"):
        job = Job(system.port, "native", kind, "burst-16", 16, runs // 32, limit_seconds=600.0)
        seen = bench.load.do(job)
        if seen["lost"] or seen["whole"] != 16 * (runs // 32):
            raise Wrong(f"{seen['whole']} of {runs // 2} whole, {seen['lost']} lost")


def rest(system: Running) -> None:
    """Until the runs have expired, and what is written of them is written."""
    system.settle(600)
    time.sleep(RETENTION_SECONDS + 2)
    system.settle(600)


def soak(bench: Bench, runs: int = 100_000) -> Rows:
    """Memory after 5,000 runs, on the way, at the end, and after everything has expired."""
    rows: Rows = {}
    with systems.ours(bench.upstream, bench.folder, more=BOUNDED) as system:
        asked(system, bench, min(WARM, runs))
        rest(system)
        first = system.resident_bytes()
        rows["before"] = {"rss_mb": first / 1e6, "more_mb": 0.0}
        for number in range(1, ROUNDS + 1):
            asked(system, bench, runs // ROUNDS)
            now = system.resident_bytes()
            done = runs // ROUNDS * number
            rows[f"after {done:,} runs"] = {"rss_mb": now / 1e6, "more_mb": (now - first) / 1e6}
        rest(system)
        now = system.resident_bytes()
        rows["when they have expired"] = {"rss_mb": now / 1e6, "more_mb": (now - first) / 1e6}
    return rows
