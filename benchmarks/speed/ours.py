"""What is measured of the service alone, because others have nothing of the kind."""

import json
import statistics
import time
from collections.abc import Mapping
from typing import Final

from benchmarks.speed.load import Job, Load
from benchmarks.speed.measuring import Figures, Pace, Scenario, Wrong, measured, per_token
from benchmarks.speed.processes import Running, got
from benchmarks.speed.scenarios import RISE_SECONDS, Run, paced, streams

GONE: Final = "[runs]\nabandon_grace_seconds = 0"
"""Whoever leaves a stream is not waited for."""


def sockets(count: int, each: int, kind: str = "paced", *, tokens: int = 200) -> Run:
    """Streams multiplexed over WebSockets."""

    def run(system: Running, load: Load, _pace: Pace) -> Figures:
        job = Job(
            system.port, "native", "sockets", f"{kind}-{tokens}", count, streams=each,
            gaps=kind == "paced", rise_seconds=RISE_SECONDS if kind == "paced" else 0.0,
        )  # fmt: skip
        system.settle()
        before = system.resident_bytes()
        system.forget_peak()
        seen = measured(system, load, job)
        figures = per_token(system, seen, count * each * tokens)
        if kind != "paced":
            return figures
        most = system.resident_bytes(peak=True)
        del figures["tokens_per_second"]  # is what it is paced to
        return figures | {
            "rss_kib_per_stream": (most - before) / (count * each) / 1024,
            **{name: seen[name] for name in ("first_ms", "first_p99_ms", "gap_ms", "gap_p99_ms")},
        }

    return run


def idle(sockets_: int, count: int, each: int) -> Run:
    """Multiplexed streams beside sockets on which nothing happens; what each of these holds."""

    def run(system: Running, load: Load, pace: Pace) -> Figures:
        system.settle()
        before = system.resident_bytes()
        opened = Job(system.port, "native", "idle", connections=sockets_)
        load.do(opened)
        system.settle()
        held = system.resident_bytes() - before
        try:
            figures = sockets(count, each, tokens=100)(system, load, pace)
        finally:
            alive = load.do(opened._replace(kind="release"))["alive"]
        if alive != sockets_:
            raise Wrong(f"{alive} of {sockets_} idle sockets are alive")
        return {"rss_kib_per_socket": held / sockets_ / 1024, **figures}

    return run


def cached_streams(*, tokens: int, each: int) -> Run:
    """Streams of kept answers, over 16 connections."""

    def run(system: Running, load: Load, _pace: Pace) -> Figures:
        prompt = f"the same stream of {tokens}"
        job = Job(system.port, "native", "streams", f"burst-{tokens}", 16, each, prompt)
        measured(system, load, job._replace(connections=1, each=3))
        seen = measured(system, load, job)
        per_token(system, seen, 16 * each * tokens)
        return {
            "streams_per_second": seen["whole"] / seen["seconds"],
            "cpu_us_per_stream": seen["cpu_seconds"] / seen["whole"] * 1e6,
            "tokens_per_second": seen["tokens"] / seen["seconds"],
            "tokens_per_cpu_second": seen["tokens"] / seen["cpu_seconds"],
        }

    return run


def followed(system: Running, load: Load, readers: int, tokens: int) -> float:
    """CPU seconds of a run that so many follow, each from its beginning."""
    asked = {"prompt": f"followed {time.monotonic_ns()}", "model": f"fake/held-{tokens}"}
    body = json.dumps(asked).encode()
    system.settle()
    before = system.cpu_seconds()
    status, answer = got(system.port, "/v1/generate", body, Prefer="respond-async")
    if status != 202:
        raise Wrong(f"It begins no run: {status}, {answer[:300]!r}")
    path = json.loads(answer)["events"]
    job = Job(system.port, "native", "follow", connections=readers, prompt=path)
    seen = load.do(job)
    system.settle()
    if seen["whole"] != readers or seen["tokens"] != readers * tokens:
        raise Wrong(f"{readers} readers: {seen}")
    return system.cpu_seconds() - before


def joined(system: Running, load: Load, readers: int, tokens: int) -> float:
    """CPU seconds of so many equal requests, of which the first one makes the answer."""
    job = Job(
        system.port, "native", "streams", f"held-{tokens}", readers,
        prompt=f"joined {time.monotonic_ns()}",
    )  # fmt: skip
    seen = measured(system, load, job)
    per_token(system, seen, readers * tokens)
    return float(seen["cpu_seconds"])


def further(readers: int = 33, tokens: int = 4000, times: int = 3) -> Run:
    """What each further reader costs: many less one, of the same run, each token of it."""

    def run(system: Running, load: Load, _pace: Pace) -> Figures:
        figures = {}
        for name, cost in (("following", followed), ("joining", joined)):
            found = [
                (cost(system, load, readers, tokens) - cost(system, load, 1, tokens))
                / ((readers - 1) * tokens)
                for _ in range(times)
            ]
            figures[f"cpu_us_per_token_{name}"] = statistics.median(found) * 1e6
        return figures

    return run


def gone(count: int = 40) -> Run:
    """How soon after its client the upstream's connection is closed."""

    def run(system: Running, load: Load, _pace: Pace) -> Figures:
        job = Job(system.port, "native", "leave", "paced-2000", count, upstream=system.upstream)
        closed = load.do(job)["closed"]
        if None in closed:
            raise Wrong(f"{closed.count(None)} of {count} upstreams were not closed")
        cuts = statistics.quantiles(closed, n=100, method="inclusive")
        return {"closed_ms": cuts[49] * 1e3, "closed_p99_ms": cuts[98] * 1e3}

    return run


OURS: Final[Mapping[str, Scenario]] = {
    "cached streams of 200": Scenario(cached_streams(tokens=200, each=200)),
    "replayed tokens": Scenario(cached_streams(tokens=20_000, each=2)),
    "64 streams, 64 connections by SSE": Scenario(streams("burst", each=1)),
    "64 streams, one WebSocket": Scenario(sockets(1, 64, "burst")),
    "64 streams, 64 WebSockets": Scenario(sockets(64, 1, "burst")),
    "further readers": Scenario(further()),
    "client gone, upstream closed": Scenario(gone(), more=GONE),
}

OURS_LONG: Final[Mapping[str, Scenario]] = {
    "2,000 paced streams": Scenario(paced(2000), fresh=True),
    "2,000 paced streams, 20 WebSockets": Scenario(sockets(20, 100), fresh=True),
    "the same beside 5,000 idle WebSockets": Scenario(idle(5000, 20, 100), fresh=True),
}
"""Where there is time."""
