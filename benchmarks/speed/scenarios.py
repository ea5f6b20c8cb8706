"""What is measured of every system, one function each: figures by name."""

from collections.abc import Callable, Mapping
from typing import Final

from benchmarks.speed.load import Job, Load
from benchmarks.speed.measuring import Figures, Pace, Scenario, measured, named, per_token
from benchmarks.speed.processes import Running

Run = Callable[[Running, Load, Pace], Figures]

PACED_TOKENS: Final = 200
RISE_SECONDS: Final = 5.0
"""Paced streams begin within it, and all go on together for five seconds more."""


def streams(kind: str, *, tokens: int = 200, connections: int = 64, each: int = 4) -> Run:
    """Streams as fast as they go: in bursts, or one upstream send a token."""

    def run(system: Running, load: Load, pace: Pace) -> Figures:
        calls = pace.fit(connections * each, tokens)
        width = min(connections, calls)
        job = Job(system.port, named(system), "streams", f"{kind}-{tokens}", width, calls // width)
        return per_token(system, measured(system, load, job), width * (calls // width) * tokens)

    return run


def first_token(system: Running, load: Load, pace: Pace) -> Figures:
    """How long the first token of a stream takes that is alone."""
    calls = pace.fit(300, 16, least=20)
    job = Job(system.port, named(system), "streams", "burst-16", 1, calls)
    seen = measured(system, load, job)
    return {"first_ms": seen["first_ms"], "first_p99_ms": seen["first_p99_ms"]}


def paced(connections: int) -> Run:
    """Streams of 20 tokens a second, begun within five seconds; a slow system is offered fewer."""

    def run(system: Running, load: Load, pace: Pace) -> Figures:
        count = pace.bears(connections)
        tokens, rise = (PACED_TOKENS, RISE_SECONDS) if count == connections else (60, 2.0)
        system.settle()
        before = system.resident_bytes()
        system.forget_peak()
        job = Job(
            system.port, named(system), "streams", f"paced-{tokens}", count,
            gaps=True, rise_seconds=rise,
        )  # fmt: skip
        cpu = system.cpu_seconds()
        seen = load.do(job)
        system.settle()
        cpu = system.cpu_seconds() - cpu
        most = system.resident_bytes(peak=True)
        return {
            "streams": count,
            "lost": seen["lost"],
            "lost_tokens": count * tokens - seen["tokens"],
            "cpu_us_per_token": cpu / max(1, seen["tokens"]) * 1e6,
            "rss_kib_per_stream": (most - before) / count / 1024,
            **{name: seen[name] for name in ("first_ms", "first_p99_ms", "gap_ms", "gap_p99_ms")},
        }

    return run


def calls(*, each: int, cached: bool = False) -> Run:
    """Short answers as plain JSON, over 16 connections."""

    def run(system: Running, load: Load, pace: Pace) -> Figures:
        prompt = "the same each time" if cached else ""
        fitting = pace.fit(16 * each, 0, least=16)
        job = Job(system.port, named(system), "json", "burst-16", 16, fitting // 16, prompt)
        if cached:
            measured(system, load, job._replace(connections=1, each=3))
        seen = measured(system, load, job)
        return {
            "calls_per_second": seen["whole"] / seen["seconds"],
            "cpu_us_per_call": seen["cpu_seconds"] / seen["whole"] * 1e6,
            "later_us_per_call": seen["later_seconds"] / seen["whole"] * 1e6,
        }

    return run


QUICK: Final[Mapping[str, Scenario]] = {
    "bursts": Scenario(streams("burst")),
    "token by token": Scenario(streams("each")),
    "first token, alone": Scenario(first_token),
    "JSON calls": Scenario(calls(each=60)),
    "JSON calls, the same": Scenario(calls(each=600, cached=True)),
}
"""Of every system."""

LONG: Final[Mapping[str, Scenario]] = {
    "1,000 paced streams": Scenario(paced(1000), fresh=True),
}
"""Of every system, where there is time."""
