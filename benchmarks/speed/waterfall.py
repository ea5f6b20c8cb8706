"""What each part costs a token on its way from the upstream's byte to the client's.

Each stage is the one before and a part more, on the real functions, in this process on core 0:
what a stage costs more than the one before is the part's. The last one is the service in a process
of its own, as the scenarios have it; what it costs beyond the parts is named as what it is, not
attributed.
"""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Final
from unittest.mock import patch

import aiohttp
import uvloop

from benchmarks.speed.load import Job
from benchmarks.speed.measuring import Bench, Rows, Wrong
from benchmarks.speed.systems import OPENAI, SYSTEM_CORE, ours
from llm_stream import logs
from llm_stream.config import (
    CacheSection,
    HistorySection,
    LimitsSection,
    LocalSection,
    ModelsSection,
    ProviderSection,
    RunsSection,
    Settings,
    TelemetrySection,
)
from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.chunks import Message, ModelCall
from llm_stream.models.joining import Bundle
from llm_stream.models.keys import Keyring
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.models.wires.model import WireModel
from llm_stream.models.wires.providers import Providers
from llm_stream.recipes.spec import RunSpec
from llm_stream.testing.service import RunningService, running_service

LENGTHS: Final = {"burst": 20_000, "each": 5000}
"""Tokens of the one stream that is measured; a run's own cost is spread over as many."""

REPEAT: Final = 5

Stage = Callable[[str], Awaitable[int]]
"""Model of the upstream -> the tokens that came."""

PARTS: Final = (
    "read the upstream's bytes",
    "parse its events and JSON",
    "llm's bookkeeping, adapter",
    "recipe, event, encode, hash, log",
    "metrics",
    "write to the client",
    "history, cache",
    "not attributed",
)


def settings(upstream: int, folder: str, *, metrics: bool, kept: bool) -> Settings:
    """The service, with or without what can be left out."""
    return Settings(
        runs=RunsSection(max_log_bytes=1 << 28, on_disconnect="continue", retention_bytes=1),
        limits=LimitsSection(late_seconds=0),
        models=ModelsSection(default="fake/burst-16", plugins=(), aliases={}),
        local=LocalSection(enabled=False),
        history=HistorySection(enabled=kept, path=f"{folder}/waterfall.db"),
        cache=CacheSection(enabled=kept),
        telemetry=TelemetrySection(metrics=metrics),
        providers={"fake": section(upstream)},
    )


def section(upstream: int) -> ProviderSection:
    """The fake provider."""
    return ProviderSection(
        kind="openai", base_url=f"http://127.0.0.1:{upstream}/v1", api_key_env=()
    )


@asynccontextmanager
async def clients(upstream: int) -> AsyncIterator[dict[str, Stage]]:
    """The stages without a service."""
    providers = Providers({"fake": section(upstream)}, Keyring({}, None))
    url = f"http://127.0.0.1:{upstream}/v1/chat/completions"

    def wire(model: str) -> WireModel:
        found = providers.on_demand(f"fake/{model}")
        if not isinstance(found, WireModel):
            raise TypeError(model)
        return found

    async def read(model: str) -> int:
        tokens, tail = 0, b""
        body = {"model": model, "stream": True}
        async with http.post(url, json=body) as answer:
            async for data in answer.content.iter_any():
                tokens += (tail + data).count(OPENAI.token)
                tail = data[1 - len(OPENAI.token) :]
        return tokens

    async def parse(model: str) -> int:
        found = wire(model)
        response = found.prompt(str(time.monotonic_ns()))
        tokens = 0
        # Not iterated, llm's response keeps nothing.
        async with aclosing(found.execute(response.prompt, stream=True, response=response)) as said:
            async for event in said:
                tokens += len(event.take()) if isinstance(event, Bundle) else event.type == "text"
        return tokens

    async def ask(model: str) -> int:
        tokens = 0
        adapter = ModelAdapter(wire(model), SyncThreads(1))
        call = ModelCall((Message("user", str(time.monotonic_ns())),))
        async with aclosing(adapter.stream(call, None)) as batches:
            async for chunks in batches:
                tokens += sum(isinstance(chunk, str) for chunk in chunks)
        return tokens

    async with aiohttp.ClientSession() as http:
        yield {PARTS[0]: read, PARTS[1]: parse, PARTS[2]: ask}
    await providers.close()


async def run_once(service: RunningService, model: str) -> int:
    """A run that nobody reads."""
    spec = RunSpec(
        recipe="generate",
        model=f"fake/{model}",
        messages=(Message("user", str(time.monotonic_ns())),),
    )
    run = (await service.parts.launcher.launch(spec)).run
    over = asyncio.Event()
    run.on_finished(lambda _run: over.set())
    await over.wait()
    return b"".join(run.events()).count(b'"type":"text.delta"')


async def read_once(service: RunningService, bench: Bench, model: str) -> int:
    """A run that the load reads over a socket."""
    job = Job(service.port, "native", "streams", model, 1)
    return int((await asyncio.to_thread(bench.load.do, job))["tokens"])


async def timed(stage: Stage, kind: str) -> float:
    """CPU microseconds a token of this process; the lowest, for what else runs only adds.

    Raises:
        Wrong: a token was lost.
    """
    tokens, best = LENGTHS[kind], float("inf")
    for _ in range(REPEAT):
        gc.collect()
        began = time.process_time()
        seen = await stage(f"{kind}-{tokens}")
        best = min(best, (time.process_time() - began) / tokens * 1e6)
        if seen != tokens:
            raise Wrong(f"waterfall: {seen} of {tokens} tokens")
    return best


async def staged(bench: Bench) -> dict[str, dict[str, float]]:
    """Kind -> stage -> what a token costs up to it."""
    found: dict[str, dict[str, float]] = {kind: {} for kind in LENGTHS}
    async with clients(bench.upstream) as stages:
        for name, stage in stages.items():
            for kind in LENGTHS:
                found[kind][name] = await timed(stage, kind)
    plans = ((PARTS[3], False, False), (PARTS[4], True, False), (PARTS[5], True, False),
             (PARTS[6], True, True))  # fmt: skip
    for name, metrics, kept in plans:
        chosen = settings(bench.upstream, str(bench.folder), metrics=metrics, kept=kept)
        async with running_service(chosen) as service:

            async def stage(model: str, name: str = name, service: RunningService = service) -> int:
                if name in PARTS[3:5]:
                    return await run_once(service, model)
                return await read_once(service, bench, model)

            for kind in LENGTHS:
                found[kind][name] = await timed(stage, kind)
    return found


def parts_of(stages: Mapping[str, float]) -> dict[str, float]:
    """What each stage costs more than the one before."""
    costs = [0.0, *stages.values()]
    return {
        name: after - before for name, before, after in zip(stages, costs, costs[1:], strict=False)
    }


def waterfall(bench: Bench) -> Rows:
    """Each part, and the whole, for tokens in bursts and one by one."""
    logs.configure("warning", "json")
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SYSTEM_CORE})
    try:
        # Not the models, keys and clients of whoever measures.
        with patch.dict(os.environ, LLM_USER_PATH=str(bench.folder)):
            found = uvloop.run(staged(bench))
    finally:
        os.sched_setaffinity(0, here)
    with ours(bench.upstream, bench.folder, more="[runs]\nmax_log_bytes = 67_108_864") as system:
        for kind, tokens in LENGTHS.items():
            costs = []
            for _ in range(REPEAT):
                system.settle()
                before = system.cpu_seconds()
                job = Job(system.port, "native", "streams", f"{kind}-{tokens}", 1)
                bench.load.do(job)
                system.settle()
                costs.append((system.cpu_seconds() - before) / tokens * 1e6)
            found[kind][PARTS[7]] = min(costs)
    split = {kind: parts_of(stages) for kind, stages in found.items()}
    rows: Rows = {
        name: {"bursts_us": split["burst"][name], "one_by_one_us": split["each"][name]}
        for name in PARTS
    }
    rows["together"] = {
        "bursts_us": found["burst"][PARTS[7]], "one_by_one_us": found["each"][PARTS[7]]
    }  # fmt: skip
    return rows
