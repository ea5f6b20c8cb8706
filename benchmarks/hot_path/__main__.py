"""How many functions are called for a token, a run and a frame: a guard that needs no clock.

    python -m benchmarks.hot_path [--only NAME] [--repeat 1] [--check] [--write] [--top 15]

The whole service answers over transports that hold bytes and no sockets: what an upstream of
OpenAI's kind sends goes through client, wire, adapter, recipe, log and framing to what a client is
sent. Counted are calls of functions, Python's and C's, in the main thread (`sys.setprofile`), which
are the same each time: time is the loop's own and moves with its turns. The count of one piece is
that of twice as many pieces, less that of as many, so what a run or a connection costs by itself
falls out. The history is off, for its threads have a time of their own.

`--check` ends with 1 where a count is over its limit: what stands in `limits.json`, times 1.3;
and where a token does what it never should, however little of it is seen here (`NEVER`).
`--write` writes the counts of today there.
"""

import argparse
import asyncio
import gc
import io
import json
import sys
from pathlib import Path
from typing import Final, cast

from benchmarks.hot_path.counting import Counted, count
from benchmarks.hot_path.parts import Parts
from benchmarks.hot_path.service import Questions, Service
from benchmarks.hot_path.transports import Loop
from llm_stream import logs

KEPT: Final = Path(__file__).with_name("limits.json")
MARGIN: Final = 1.3


async def measure(only: str, repeat: int) -> list[dict[str, Counted]]:
    """What is counted, by name; so many times."""
    loop = cast("Loop", asyncio.get_running_loop())
    service, questions = Service(), Questions()
    await service.start()
    loop.settle()
    gc.disable()  # what it collects calls functions as well
    try:
        rounds: list[dict[str, Counted]] = []
        for _ in range(repeat):
            rounds.append({})
            for name, (part, pieces) in Parts(service, questions).named().items():
                if only in name:
                    found = await count(part, pieces)
                    each = round(found.total() / pieces, 2)
                    rounds[-1][name] = Counted(each, found, pieces)
        return rounds
    finally:
        gc.enable()
        loop.steady = False
        await service.close()


ADVICE: Final = """
Take out of the hot path what was added there: no logging, validation, task, timer or look-up of a
metric for a token (docs/performance.md, Guard). What has to be there has its reason in the commit;
then set the limits anew: python -m benchmarks.hot_path --write"""


def main() -> None:
    """Count, print, check or write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="what has this in its name")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="exit 1 when over a limit")
    parser.add_argument("--write", action="store_true", help=f"write {KEPT.name}")
    parser.add_argument("--top", type=int, default=15, help="functions that are named")
    options = parser.parse_args()
    logs.configure("info", "json", io.StringIO())
    with asyncio.Runner(loop_factory=Loop) as runner:
        rounds = runner.run(measure(options.only, options.repeat))
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    print(f"{'calls of functions for':50} {'now':>{9 * len(rounds)}} {'limit':>9}")
    faults: list[str] = []
    for name, counted in rounds[-1].items():
        limit = round(kept.get(name, 0.0) * MARGIN, 2)
        now = "".join(f" {each[name].each:8.2f}" for each in rounds)
        print(f"{name:50} {now} {limit:9.2f}")
        faults += counted.faults(name, limit, options.top)
    if options.write:
        kept |= {name: counted.each for name, counted in rounds[-1].items()}
        KEPT.write_text(json.dumps(kept, indent=2) + "\n")
    elif options.check and faults:
        sys.exit("\n".join(["", *faults, ADVICE]))


if __name__ == "__main__":
    main()
