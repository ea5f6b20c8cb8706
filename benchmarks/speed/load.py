"""The load: a process of its own, told by pipe what to ask, which says what it saw."""

import asyncio
import itertools
import multiprocessing
import os
import statistics
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple, Self

import uvloop

from benchmarks.speed import readers, sockets
from benchmarks.speed.readers import Dialect, Figures, JsonReader, StreamReader
from benchmarks.speed.systems import NATIVE, OPENAI, SPACED

DIALECTS: Final = {"native": NATIVE, "openai": OPENAI, "spaced": SPACED}
CORE: Final = 1

_numbers: Final = itertools.count()


class Job(NamedTuple):
    """What to ask.

    Attributes:
        port: of whom.
        dialect: name of one.
        kind: "streams", "json", "sockets", "idle" (connections that only wait).
        model: what of the upstream.
        connections: at the same time.
        each: requests a connection, one after the other.
        prompt: the same for all; "" = every request has a prompt of its own.
        gaps: whether the time between tokens is noted.
        rise_seconds: connections begin evenly within this time.
        streams: of each socket.
    """

    port: int
    dialect: str
    kind: str
    model: str = "burst-200"
    connections: int = 64
    each: int = 1
    prompt: str = ""
    gaps: bool = False
    rise_seconds: float = 0.0
    streams: int = 1


def quantile(values: list[float], share: float) -> float | None:
    """Seconds as milliseconds at that share of the sorted values; None without any."""
    if len(values) < 2:
        return round(values[0] * 1e3, 3) if values else None
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    return round(cuts[round(share * 1000) - 1] * 1e3, 3)


def told(figures: Figures, seconds: float) -> dict[str, Any]:
    """What came of a job."""
    return {
        "seconds": seconds,
        "tokens": figures.tokens,
        "whole": figures.whole,
        "lost": figures.lost,
        "first_ms": quantile(figures.first, 0.5),
        "first_p99_ms": quantile(figures.first, 0.99),
        "gap_ms": quantile(figures.gaps, 0.5),
        "gap_p99_ms": quantile(figures.gaps, 0.99),
    }


def prompts(job: Job, dialect: Dialect, *, stream: bool) -> list[bytes]:
    """The requests of one connection, the last one first."""
    return [
        dialect.request(
            job.prompt or f"question {os.getpid()} {next(_numbers)}", job.model, stream=stream
        )
        for _ in range(job.each)
    ]


async def perform(job: Job) -> dict[str, Any]:
    """Do a job."""
    loop, figures, dialect = asyncio.get_running_loop(), Figures(), DIALECTS[job.dialect]

    def reader() -> StreamReader | JsonReader | sockets.SocketReader:
        if job.kind == "json":
            return JsonReader(prompts(job, dialect, stream=False), figures)
        if job.kind == "sockets":
            texts = [
                job.prompt or f"question {os.getpid()} {next(_numbers)}" for _ in range(job.streams)
            ]
            return sockets.SocketReader(texts, job.model, figures, gaps=job.gaps)
        return StreamReader(dialect, prompts(job, dialect, stream=True), figures, gaps=job.gaps)

    made = [reader() for _ in range(job.connections)]
    began = readers.clock()
    for number, one in enumerate(made):
        await loop.create_connection(lambda one=one: one, "127.0.0.1", job.port)  # type: ignore[misc]
        if job.rise_seconds:
            due = began + job.rise_seconds * (number + 1) / job.connections
            await asyncio.sleep(max(0.0, due - readers.clock()))
    for one in made:
        await one.over
    return told(figures, readers.clock() - began)


def serve(pipe: Connection) -> None:
    """Child: does jobs until it is told None."""
    os.sched_setaffinity(0, {CORE % (os.cpu_count() or 1)})

    async def main() -> None:
        while (job := await asyncio.to_thread(pipe.recv)) is not None:
            pipe.send(await perform(job))

    uvloop.run(main())


class Load:
    """The process; a context manager."""

    def __enter__(self) -> Self:
        self._pipe, theirs = multiprocessing.Pipe()
        spawn = multiprocessing.get_context("spawn")
        self._process = spawn.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(None)
        self._process.join(20)

    def do(self, job: Job) -> dict[str, Any]:
        """Do a job, and wait for what came of it."""
        self._pipe.send(job)
        seen: dict[str, Any] = self._pipe.recv()
        return seen
