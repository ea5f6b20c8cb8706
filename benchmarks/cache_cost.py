"""What a cache hit costs: JSON answers a second, and replayed tokens a second, per core.

    python benchmarks/cache_cost.py [--requests 20000] [--redis redis://...] [--json out.json]

The service runs in this process and its clients in a child, so `process_time` here is the
service's alone and "per core" means per second of it. Every answer is checked by its length.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import time
from multiprocessing.connection import Connection

import aiohttp

from llm_stream import logs
from llm_stream.config import CacheSection, HistorySection, LocalSection, ModelsSection, Settings
from llm_stream.testing import Script, ScriptedModel, words
from llm_stream.testing.service import RunningService, running_service
from llm_stream.web.process import list_no_generators, run_in_loop, settle_memory

CONNECTIONS = 16
ANSWER_PIECES = 100
STREAM_PIECES = 20_000


def ask(pipe: Connection, port: int) -> None:
    """Child: send the same request over kept connections, read what comes, count bytes."""

    async def client(head: bytes, requests: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        size = 0
        for _ in range(requests):
            writer.write(head)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            size += len(await reader.readexactly(length))
        writer.close()
        return size

    async def stream(head: bytes) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        writer.write(head)
        deltas, tail = 0, b""
        while data := await reader.read(1 << 20):
            deltas += (tail + data).count(b'text.delta"')
            tail = data[-10:]
        writer.close()
        return deltas

    async def stay_awake() -> None:
        # The kernel charges whoever sends for waking a reader on the same machine, in a virtual
        # one up to 160 us; a reader that waits without sleeping costs the service nothing, like
        # one behind a network.
        while True:  # noqa: ASYNC110 - it is to spin
            await asyncio.sleep(0)

    async def crowd(head: bytes, requests: int) -> list[int]:
        if not requests:
            return [await stream(head)]
        each = requests // CONNECTIONS
        awake = asyncio.create_task(stay_awake())
        try:
            return await asyncio.gather(*(client(head, each) for _ in range(CONNECTIONS)))
        finally:
            awake.cancel()

    while (job := pipe.recv()) is not None:
        pipe.send(asyncio.run(crowd(*job)))


def head_of(prompt: str, accept: str, connection: str) -> bytes:
    """A whole POST /v1/generate."""
    body = json.dumps({"prompt": prompt}).encode()
    lines = [
        "POST /v1/generate HTTP/1.1", "Host: localhost", "Content-Type: application/json",
        f"Accept: {accept}", f"Connection: {connection}", f"Content-Length: {len(body)}",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def replies(pipe: Connection, job: tuple[bytes, int]) -> tuple[float, float, list[int]]:
    """Have the child do a job: CPU seconds of this process, wall seconds, what it counted."""
    pipe.send(job)
    cpu, wall = time.process_time(), time.perf_counter()
    while not pipe.poll():  # noqa: ASYNC110 - another process' doing is not an event here
        await asyncio.sleep(0.002)
    return time.process_time() - cpu, time.perf_counter() - wall, pipe.recv()


async def measure(service: RunningService, model: ScriptedModel, requests: int) -> dict[str, float]:
    """Requests and tokens a second of CPU; the medians of three repetitions."""
    pipe, other = multiprocessing.Pipe()
    child = multiprocessing.Process(target=ask, args=(other, service.port), daemon=True)
    child.start()
    figures: dict[str, list[float]] = {"json_per_core": [], "json_wall": [], "tokens_per_core": []}
    async with aiohttp.ClientSession() as http:
        for prompt, pieces in (("json", ANSWER_PIECES), ("stream", STREAM_PIECES)):
            model.scripts = [Script(chunks=words(pieces), burst=True)]
            async with http.post(f"{service.url}/v1/generate", json={"prompt": prompt}) as first:
                size = len(await first.read())
    await service.parts.cache.settled()
    for _ in range(3):
        head = head_of("json", "application/json", "keep-alive")
        cpu, wall, sizes = await replies(pipe, (head, requests))
        served = requests // CONNECTIONS * CONNECTIONS
        if min(sizes) < requests // CONNECTIONS * ANSWER_PIECES:
            sys.exit("answers were too short")
        figures["json_per_core"].append(served / cpu)
        figures["json_wall"].append(served / wall)
        head = head_of("stream", "text/event-stream", "close")
        cpu, _, deltas = await replies(pipe, (head, 0))
        if deltas != [STREAM_PIECES]:
            sys.exit(f"{deltas} of {STREAM_PIECES} tokens came")
        figures["tokens_per_core"].append(STREAM_PIECES / cpu)
    pipe.send(None)
    child.join()
    if len(model.calls) > 2 or not size:
        sys.exit("the model was called again")
    return {name: round(statistics.median(values)) for name, values in figures.items()}


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--redis", default="", help="URL; without it, the cache is in memory")
    parser.add_argument("--json")
    parser.add_argument("--log-level", default="warning")
    arguments = parser.parse_args()
    logs.configure(arguments.log_level, "json")
    model = ScriptedModel("scripted")
    settings = Settings(
        history=HistorySection(enabled=False),
        models=ModelsSection(plugins=(), default="scripted", aliases={}),
        local=LocalSection(enabled=False),
        cache=CacheSection(url=arguments.redis),
    )
    async with running_service(settings, [model]) as service:
        settle_memory()
        list_no_generators()
        figures = await measure(service, model, arguments.requests)
    print(json.dumps(figures, indent=2))
    if arguments.json:
        with open(arguments.json, "w") as file:  # noqa: ASYNC230, PTH123 - nothing else runs
            json.dump(figures, file)


if __name__ == "__main__":
    run_in_loop(main())
