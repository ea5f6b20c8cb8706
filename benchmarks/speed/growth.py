"""How cost grows: with streams at once, with the tokens of a run; what a run adds to its model."""

from typing import Final

from benchmarks.speed import systems
from benchmarks.speed.load import Job
from benchmarks.speed.measuring import Bench, Figures, Rows, check, measured, named, per_token
from benchmarks.speed.processes import Running

STREAMS: Final = (1, 10, 100, 1000, 2000)
TOKENS: Final = (100, 1000, 10_000, 100_000)
WIDTH: Final = 10
"""Streams at once where it is their length that grows."""

A_RUN: Final = (1, 16, 200)
"""Tokens of the streams whose runs are held against their model alone."""

LONG_RUNS: Final = "[runs]\nmax_log_bytes = 67_108_864"
"""A run of 100,000 tokens has a log of 12 MB."""


def cost(system: Running, bench: Bench, connections: int, each: int, tokens: int) -> Figures:
    """Tokens of bursts: what each costs, and how many a core gives a second."""
    job = Job(system.port, "native", "streams", f"burst-{tokens}", connections, each)
    seen = measured(system, bench.load, job)
    figures = per_token(system, seen, connections * each * tokens)
    return figures | {"tokens_per_cpu_second": 1e6 / figures["cpu_us_per_token"]}


def streams_at_once(bench: Bench, counts: tuple[int, ...] = STREAMS, runs: int = 1000) -> Rows:
    """The same number of runs of 200 tokens, ever more of them at once."""
    rows: Rows = {}
    with systems.ours(bench.upstream, bench.folder) as system:
        cost(system, bench, 10, 10, 200)
        for count in counts:
            each = max(1, runs // count)
            rows[f"{count:,}"] = cost(system, bench, count, each, 200)
    return rows


def tokens_a_run(bench: Bench, lengths: tuple[int, ...] = TOKENS, tokens: int = 200_000) -> Rows:
    """The same number of tokens, in ever fewer and longer runs.

    A run has a cost of its own, which short ones spread over few tokens: it is measured with runs
    of one token, and `beyond_call_us` is what a token costs without it.
    """
    rows: Rows = {}
    with systems.ours(bench.upstream, bench.folder, more=LONG_RUNS) as system:
        cost(system, bench, WIDTH, 10, 200)
        call = cost(system, bench, WIDTH, 200, 1)["cpu_us_per_token"]
        for length in lengths:
            width = min(WIDTH, max(1, tokens // length))
            figures = cost(system, bench, width, max(1, tokens // length // width), length)
            beyond = figures["cpu_us_per_token"] - call / length
            rows[f"{length:,}"] = figures | {"beyond_call_us": beyond}
    return rows


def a_run(bench: Bench, lengths: tuple[int, ...] = A_RUN, runs: int = 1600) -> Rows:
    """What a stream of so many tokens costs, by the model road alone and as a run."""
    rows: Rows = {f"{length:,}": {} for length in lengths}
    for figure, start in (("wire_us", systems.other("wire")), ("service_us", systems.ours)):
        with start(bench.upstream, bench.folder) as system:
            check(system)
            bench.load.do(Job(system.port, named(system), "streams", "burst-200", WIDTH, 10))
            for length in lengths:
                model, each = f"burst-{length}", runs // WIDTH
                job = Job(system.port, named(system), "streams", model, WIDTH, each)
                seen = measured(system, bench.load, job)
                each_token = per_token(system, seen, runs * length)["cpu_us_per_token"]
                rows[f"{length:,}"][figure] = each_token * length
    return rows
