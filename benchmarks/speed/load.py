"""The load: a process of its own, told by pipe what to ask, which says what it saw."""

import asyncio
import itertools
import multiprocessing
import os
import resource
import statistics
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple, Self

import uvloop

from benchmarks.speed import readers
from benchmarks.speed.leaving import leave
from benchmarks.speed.readers import Dialect, Figures, JsonReader, StreamReader
from benchmarks.speed.sockets import IdleSocket, SocketReader
from benchmarks.speed.systems import DIALECTS, LOAD_CORE

LIMIT_SECONDS: Final = 120.0
"""A job that takes longer is given up, and what was not answered is lost."""

_numbers: Final = itertools.count()


class Job(NamedTuple):
    """What to ask.

    Attributes:
        port: of whom.
        dialect: name of one.
        kind: "streams", "json", "sockets", "follow" (readers of the run whose path is the
            prompt), "idle" (sockets that only wait, until "release"), "leave" (streams that are
            left after their first token).
        model: what of the upstream.
        connections: at the same time.
        each: requests a connection, one after the other.
        prompt: the same for all; "" = every request has a prompt of its own.
        gaps: whether the time between tokens is noted.
        rise_seconds: connections begin evenly within this time.
        streams: of each socket.
        upstream: its port, for "leave".
        limit_seconds: see `LIMIT_SECONDS`.
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
    upstream: int = 0
    limit_seconds: float = LIMIT_SECONDS


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


def prompt_of(job: Job) -> str:
    """The prompt of the next request."""
    return job.prompt or f"question {os.getpid()} {next(_numbers)}"


def reader_of(
    job: Job, dialect: Dialect, figures: Figures
) -> StreamReader | JsonReader | SocketReader:
    """One of the connections of a job."""
    if job.kind == "json":
        asked = [dialect.request(prompt_of(job), job.model, stream=False) for _ in range(job.each)]
        return JsonReader(asked, figures)
    if job.kind == "sockets":
        texts = [prompt_of(job) for _ in range(job.streams)]
        return SocketReader(texts, job.model, figures, gaps=job.gaps)
    if job.kind == "follow":
        asked = [dialect.follow(job.prompt)]
    else:
        asked = [dialect.request(prompt_of(job), job.model, stream=True) for _ in range(job.each)]
    return StreamReader(dialect, asked, figures, gaps=job.gaps)


async def perform(job: Job) -> dict[str, Any]:
    """Ask, read, and count until all is answered, or the time is up."""
    loop, figures = asyncio.get_running_loop(), Figures()
    made = [reader_of(job, DIALECTS[job.dialect], figures) for _ in range(job.connections)]
    begun: list[StreamReader | JsonReader | SocketReader] = []
    began = readers.clock()
    try:
        for number, one in enumerate(made):
            await loop.create_connection(lambda one=one: one, "127.0.0.1", job.port)  # type: ignore[misc]
            begun.append(one)
            if job.rise_seconds:
                due = began + job.rise_seconds * (number + 1) / job.connections
                await asyncio.sleep(max(0.0, due - readers.clock()))
        await asyncio.wait([one.over for one in made], timeout=job.limit_seconds)
        seconds = readers.clock() - began
    finally:
        for one in begun:
            one.wire.abort()
    await asyncio.wait([one.over for one in made])
    return told(figures, seconds)


class Loader:
    """What the child keeps from job to job: sockets that wait."""

    def __init__(self) -> None:
        self._idle: list[IdleSocket] = []

    async def do(self, job: Job) -> dict[str, Any]:
        """Do a job."""
        if job.kind == "idle":
            return await self._open(job)
        if job.kind == "release":
            alive = sum(one.alive for one in self._idle)
            for one in self._idle:
                one.wire.abort()
            self._idle.clear()
            return {"alive": alive}
        if job.kind == "leave":
            return {"closed": await leave(job.port, DIALECTS[job.dialect], job)}
        return await perform(job)

    async def _open(self, job: Job) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        for _ in range(job.connections):
            one = IdleSocket()
            await loop.create_connection(lambda one=one: one, "127.0.0.1", job.port)  # type: ignore[misc]
            await asyncio.wait_for(one.open, job.limit_seconds)
            self._idle.append(one)
        return {"alive": sum(one.alive for one in self._idle)}


def serve(pipe: Connection) -> None:
    """Child: does jobs until it is told None."""
    os.sched_setaffinity(0, {LOAD_CORE % (os.cpu_count() or 1)})
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def main() -> None:
        loader = Loader()
        while (job := await asyncio.to_thread(pipe.recv)) is not None:
            try:
                pipe.send(await loader.do(job))
            except (OSError, EOFError) as error:
                pipe.send(OSError(f"{type(error).__name__}: {error}"))

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
        with suppress(OSError):  # Ctrl-C has ended it as well
            self._pipe.send(None)
        self._process.join(20)

    def do(self, job: Job) -> dict[str, Any]:
        """Do a job, and wait for what came of it.

        Raises:
            OSError: it could not be begun; nobody listens.
        """
        self._pipe.send(job)
        seen: dict[str, Any] | OSError = self._pipe.recv()
        if isinstance(seen, OSError):
            raise seen
        return seen
