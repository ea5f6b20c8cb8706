"""What is measured, one function each: figures by name."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.speed.load import Job, Load
from benchmarks.speed.systems import NATIVE, OPENAI, Running

Scenario = Callable[[Running, Load], dict[str, Any]]


class Wrong(RuntimeError):
    """A system has not said what it should have said: nothing of it is timed."""


def named(system: Running) -> str:
    """The name of its dialect."""
    return {NATIVE: "native", OPENAI: "openai"}.get(system.dialect, "spaced")


def measured(system: Running, load: Load, job: Job) -> dict[str, Any]:
    """Do a job; its figures, with the CPU the system took for it.

    Raises:
        Wrong: an answer was lost.
    """
    before = system.cpu_seconds()
    seen = load.do(job)
    cpu = system.cpu_seconds() - before
    asked = job.connections * job.each * job.streams
    if seen["lost"] or seen["whole"] != asked:
        raise Wrong(f"{system.name}: {seen['whole']} of {asked} whole, {seen['lost']} lost")
    return seen | {"cpu_seconds": cpu}


def per_token(system: Running, seen: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    """What each of so many tokens has cost.

    Raises:
        Wrong: there were more, or fewer.
    """
    if seen["tokens"] != tokens:
        raise Wrong(f"{system.name}: {seen['tokens']} of {tokens} tokens")
    return {
        "cpu_us_per_token": seen["cpu_seconds"] / tokens * 1e6,
        "tokens_per_second": tokens / seen["seconds"],
    }


def streams(kind: str, *, tokens: int = 200, connections: int = 64, each: int = 4) -> Scenario:
    """Streams as fast as they go: in bursts, or one upstream send a token."""

    def run(system: Running, load: Load) -> dict[str, Any]:
        job = Job(system.port, named(system), "streams", f"{kind}-{tokens}", connections, each)
        return per_token(system, measured(system, load, job), connections * each * tokens)

    return run


def first_token(system: Running, load: Load) -> dict[str, Any]:
    """How long the first token of a stream takes that is alone."""
    job = Job(system.port, named(system), "streams", "burst-16", 1, 300)
    seen = measured(system, load, job)
    return {"first_ms": seen["first_ms"], "first_p99_ms": seen["first_p99_ms"]}


def paced(connections: int, *, tokens: int = 200) -> Scenario:
    """Streams of 20 tokens a second, begun within five seconds."""

    def run(system: Running, load: Load) -> dict[str, Any]:
        before = system.resident_bytes()
        job = Job(
            system.port, named(system), "streams", f"paced-{tokens}", connections,
            gaps=True, rise_seconds=5.0,
        )  # fmt: skip
        cpu = system.cpu_seconds()
        seen = load.do(job)
        cpu = system.cpu_seconds() - cpu
        most = system.resident_bytes(peak=True)
        return {
            "lost": seen["lost"],
            "cpu_us_per_token": cpu / max(1, seen["tokens"]) * 1e6,
            "rss_kb_per_stream": (most - before) / connections / 1024,
            **{name: seen[name] for name in ("first_ms", "first_p99_ms", "gap_ms", "gap_p99_ms")},
        }

    return run


def sockets(count: int, each: int, kind: str = "paced", *, tokens: int = 100) -> Scenario:
    """Streams multiplexed over WebSockets."""

    def run(system: Running, load: Load) -> dict[str, Any]:
        job = Job(
            system.port, "native", "sockets", f"{kind}-{tokens}", count, streams=each, gaps=True
        )
        seen = measured(system, load, job)
        figures = per_token(system, seen, count * each * tokens)
        return figures | {"gap_p99_ms": seen["gap_p99_ms"]}

    return run


def calls(*, each: int, cached: bool = False) -> Scenario:
    """Short answers as plain JSON, over 16 connections."""

    def run(system: Running, load: Load) -> dict[str, Any]:
        prompt = "the same each time" if cached else ""
        job = Job(system.port, named(system), "json", "burst-16", 16, each, prompt)
        if cached:
            measured(system, load, job._replace(connections=1, each=3))
        seen = measured(system, load, job)
        return {
            "calls_per_second": 16 * each / seen["seconds"],
            "cpu_us_per_call": seen["cpu_seconds"] / (16 * each) * 1e6,
        }

    return run


def cached_streams(*, tokens: int, each: int) -> Scenario:
    """Streams of kept answers, over 16 connections."""

    def run(system: Running, load: Load) -> dict[str, Any]:
        prompt = f"the same stream of {tokens}"
        job = Job(system.port, named(system), "streams", f"burst-{tokens}", 16, each, prompt)
        measured(system, load, job._replace(connections=1, each=3))
        seen = measured(system, load, job)
        return {
            "streams_per_second": 16 * each / seen["seconds"],
            "tokens_per_second": seen["tokens"] / seen["seconds"],
            "tokens_per_cpu_second": seen["tokens"] / max(seen["cpu_seconds"], 0.01),
        }

    return run


def joined(readers: int, *, tokens: int = 2000) -> Scenario:
    """What each further reader of one run costs: equal requests at once, less a single one."""

    def run(system: Running, load: Load) -> dict[str, Any]:
        def cost(count: int, prompt: str) -> float:
            job = Job(system.port, "native", "streams", f"each-{tokens}", count, prompt=prompt)
            return float(measured(system, load, job)["cpu_seconds"])

        # Another question each time: what was answered before is in the history.
        asked = time.monotonic_ns()
        one = statistics.median(cost(1, f"alone {n} {asked}") for n in range(3))
        many = cost(readers, f"together {asked}")
        return {"cpu_us_per_token_reader": (many - one) / (readers - 1) / tokens * 1e6}

    return run


QUICK: Final[Mapping[str, Scenario]] = {
    "bursts": streams("burst"),
    "token by token": streams("each"),
    "first token, alone": first_token,
    "JSON calls": calls(each=60),
    "JSON calls, cached": calls(each=600, cached=True),
}
"""For every system."""

OURS: Final[Mapping[str, Scenario]] = {
    "cached streams of 200": cached_streams(tokens=200, each=200),
    "replayed tokens": cached_streams(tokens=20_000, each=2),
    "64 streams, one WebSocket": sockets(1, 64, "burst", tokens=200),
    "64 streams, 64 WebSockets": sockets(64, 1, "burst", tokens=200),
    "further readers": joined(20),
}
"""What only the service has."""

LONG: Final[Mapping[str, Scenario]] = {
    "1,000 paced streams": paced(1000),
    "2,000 paced streams": paced(2000),
}
"""For systems that hold so many."""
