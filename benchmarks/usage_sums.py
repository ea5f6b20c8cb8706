"""What the account costs: sums over many runs, and counting a call that costs nothing.

    python benchmarks/usage_sums.py [--runs 100000] [--days 30] [--times 5]

The runs are spread evenly over the days. CPU time is of the whole process; meanwhile a timer looks
how late the event loop wakes it, for sums are made in a thread.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from llm_stream.history import ledger
from llm_stream.history.database import open_store, transaction
from llm_stream.history.history import History
from llm_stream.history.ledger import Entry
from llm_stream.history.reuses import Reuses
from llm_stream.history.spending import Spent
from llm_stream.history.usage import DIMENSIONS, Asked, Dimension
from llm_stream.recipes.spec import RunSpec

DAY = 86_400
TICK_SECONDS = 0.005
COUNTS = 100_000

MODELS = "abcdefgh"


def fill(path: Path, runs: int, days: float) -> None:
    """A database with so many runs, half of them inner ones."""
    store: Any = open_store(path)
    draw, now = random.Random(0), time.time()  # noqa: S311 - the same each time
    with transaction(store.db.conn):
        for number in range(runs):
            entry = Entry(
                run=f"run_{number}",
                ended_at=now - draw.random() * days * DAY,
                recipe=draw.choice(("generate", "evaluate")),
                model=draw.choice(MODELS),
                tier=draw.choice(("", "fast")),
                owner="",
                hidden=draw.random() < 0.5,
                status=draw.choice(["completed"] * 9 + ["failed"]),
                total_ms=draw.randrange(60_000),
                first_token_ms=draw.randrange(3_000),
                spent={draw.choice(MODELS): Spent(1, 100, 200)},
            )
            ledger.write(store.db.conn, [entry])
    store.db.conn.close()


async def watch(lags: list[float]) -> None:
    """Note how late the loop wakes a timer, until cancelled."""
    while True:
        due = time.monotonic() + TICK_SECONDS
        await asyncio.sleep(TICK_SECONDS)
        lags.append(time.monotonic() - due)


async def measure(history: History, by: tuple[Dimension, ...], since: float, times: int) -> float:
    """Milliseconds of CPU for one account, the median."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        await history.usage(by, Asked(since))
        spent.append((time.process_time() - began) * 1000)
    return statistics.median(spent)


def counting() -> float:
    """Microseconds for a call that costs nothing."""
    reuses = Reuses(lambda _job: True)
    spec = RunSpec(recipe="generate", model="m", tier="fast")
    began = time.process_time()
    for _ in range(COUNTS):
        reuses.count(spec, "cached")
    spent = time.process_time() - began
    reuses.close()
    return spent / COUNTS * 1e6


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logs.db"
        fill(path, options.runs, options.days)
        print(f"{options.runs} runs, {path.stat().st_size / options.runs:.0f} bytes each")
        history = History(path, days=2 * options.days, max_bytes=1 << 40, fresh_seconds=1)
        history.start()
        lags: list[float] = []
        watching = asyncio.create_task(watch(lags))
        groupings: list[tuple[Dimension, ...]] = [(), ("model",), DIMENSIONS]
        for by in groupings:
            for name, since in (("all", 0.0), ("a day", time.time() - DAY)):
                cost = await measure(history, by, since, options.times)
                print(f"{','.join(by) or 'total':28} {name:6} {cost:8.0f} ms of CPU")
        watching.cancel()
        lags.sort()
        print(f"loop lag: 99 of 100 below {lags[int(len(lags) * 0.99)] * 1000:.1f} ms")
        await history.close()
    print(f"counting a hit or a join: {counting():.1f} us")


if __name__ == "__main__":
    asyncio.run(main())
