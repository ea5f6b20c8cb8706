"""Half an hour of everything that can break, at random: `make soak`, SOAK_SECONDS, SOAK_SEED."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from llm_stream.testing.faultproxy import FaultProxy, fault_proxy
from llm_stream.testing.mockproviders import MockProviders, mock_providers

from ..follower import Follower, broken
from ..process import measured, open_files, resident_bytes
from ..redisserver import RedisServer
from ..replica import Replica, replicas

SECONDS = float(os.environ.get("SOAK_SECONDS", "1800"))
SEED = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(1 << 32)))
STREAMS = 50
SETTLED = 0.25
"""Share of the time after which the service has all that it will keep."""

GROWTH_BYTES = 24 << 20
GROWTH_FILES = 32
MODELS = (
    "words-60-pace-20", "words-200-pace-5-jitter-50", "words-20-split-3", "words-400", "503-1",
    "429-1-after-1", "words-60-pace-20-cut-900", "cut-400-rst", "words-60-stall-10", "malformed-3",
    "error-5",
)  # fmt: skip
"""What the provider is asked for, well and badly behaved."""


@dataclass
class Soak:
    """What is going on, and what has been seen.

    Attributes:
        over: set when no new run is to be started.
        ends: how many runs have ended how.
        faults: what was broken how often.
        wrong: invariants that did not hold, in words.
        sizes: memory and open files of each replica, once a second or so.
    """

    pair: list[Replica]
    http: aiohttp.ClientSession
    proxy: FaultProxy
    redis: RedisServer
    over: asyncio.Event = field(default_factory=asyncio.Event)
    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    sizes: list[tuple[list[int], list[int]]] = field(default_factory=list)

    async def passed(self, seconds: float) -> bool:
        """Wait for the end, so long at most; whether it has come."""
        try:
            async with asyncio.timeout(seconds):
                return await self.over.wait()
        except TimeoutError:
            return False

    async def client(self, number: int) -> None:
        """One run after the other, at whichever replica; connections are dropped at random."""
        draw = random.Random(f"{SEED} {number}")
        asked = 0
        while not self.over.is_set():
            asked += 1
            # One in five is what others ask for at the same time.
            prompt = f"{asked // 10}" if draw.random() < 0.2 else f"{number} {asked}"
            body = {
                "prompt": prompt,
                "model": f"chat/mock-{draw.choice(MODELS)}",
                "on_disconnect": draw.choice(["continue", "cancel"]),
                "on_midstream_failure": draw.choice(["error", "splice", "restart"]),
            }
            reader = Follower(
                self.http,
                lambda: draw.choice(self.pair).url,
                body,
                lambda: draw.randrange(1, 60) if draw.random() < 0.5 else None,
            )
            await reader.follow()
            last = reader.events[-1].payload
            self.ends[last.get("error", {}).get("code", last["type"])] += 1
            self.ends["resumes"] += reader.resumes
            self.wrong += [f"{reader.run}: {fault}" for fault in broken(reader.events)]
            if draw.random() < 0.2:
                await self.compare(reader, draw.choice(self.pair))

    async def compare(self, reader: Follower, replica: Replica) -> None:
        """Whoever reads a run again, anywhere, reads the same bytes."""
        url = f"{replica.url}/v1/runs/{reader.run}"
        async with self.http.get(url) as response:
            if response.status != 200:
                return  # Redis is down, and it is not here
        again = Follower(self.http, lambda: replica.url, {})
        again.run = reader.run
        await again.follow()
        self.ends["read again"] += 1
        if [event.data for event in again.events] != [event.data for event in reader.events]:
            self.wrong.append(f"{reader.run}: read again, it is another")

    async def break_things(self) -> None:
        """Break the way to the provider, or Redis, for a while; then let all be well."""
        draw = random.Random(SEED)
        while not await self.passed(draw.uniform(0.5, 3)):
            kind = draw.choice(["cut", "reset", "cut all", "stall", "throttle", "refuse", "redis"])
            self.faults[kind] += 1
            if kind == "redis":
                await asyncio.to_thread(self.redis.kill)
            elif kind == "refuse":
                await self.proxy.refuse()
            elif kind == "stall":
                self.proxy.stall(draw.choice(["up", "down"]))
            elif kind == "throttle":
                self.proxy.throttle(draw.randrange(100, 5000))
            else:
                count = 0 if kind == "cut all" else draw.randrange(1, 20_000)
                self.proxy.cut(count, how="fin" if kind == "cut" else "rst")
            await self.passed(draw.uniform(0.2, 4))
            if kind == "redis":
                await asyncio.to_thread(self.redis.start)
            self.proxy.mend()
            await self.proxy.accept()

    async def watch(self) -> None:
        """Note what the replicas have taken."""
        while not await self.passed(1):
            pids = [replica.process.pid for replica in self.pair]
            self.sizes.append(
                ([resident_bytes(pid) for pid in pids], [open_files(pid) for pid in pids])
            )

    def growth(self) -> tuple[int, int]:
        """By how much memory and open files have grown at most, since the service had settled."""
        settled = self.sizes[: int(len(self.sizes) * SETTLED * 2)][int(len(self.sizes) * SETTLED) :]
        late = self.sizes[-len(settled) :]
        grown = []
        for kind in (0, 1):
            for number in range(len(self.pair)):
                before = max(size[kind][number] for size in settled)
                grown.append(max(size[kind][number] for size in late) - before)
        return max(grown[: len(self.pair)]), max(grown[len(self.pair) :])


@pytest.fixture
async def mocks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MockProviders]:
    """Providers on this machine, with a key for them."""
    monkeypatch.setenv("MOCK_KEY", "sk-mock-key-1234567890")
    async with mock_providers() as mocks:
        yield mocks


@pytest.fixture
def durable_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that keeps its data when it is killed."""
    server = RedisServer(tmp_path, persistent=True)
    server.start()
    yield server
    server.kill()


@pytest.mark.asyncio_loop
@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 300)
async def test_nothing_breaks_for_good(
    durable_redis: RedisServer, tmp_path: Path, mocks: MockProviders
) -> None:
    """50 clients, two replicas, seeded faults: every invariant holds, and nothing grows."""
    measured("seed", SEED)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        fault_proxy(mocks.port) as proxy,
        aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
    ):
        provider = {
            "kind": "openai", "base_url": f"http://127.0.0.1:{proxy.port}/openai/v1",
            "api_key_env": ["MOCK_KEY"],
        }  # fmt: skip
        with replicas(
            tmp_path,
            providers={"chat": provider},
            redis={"url": durable_redis.url},
            limits={"concurrent_runs": 2 * STREAMS},
            runs={"retention_seconds": 15, "retention_bytes": 16 << 20},
            cache={"max_bytes": 4 << 20},
            models={
                "timeouts": {"first_token_seconds": 3, "idle_seconds": 3, "connect_seconds": 2},
                "breaker": {"open_seconds": 0.5},
                "retries": {"initial_seconds": 0.1, "budget": 1000},
            },
        ) as pair:
            soak = Soak(pair, http, proxy, durable_redis)
            async with asyncio.TaskGroup() as tasks:
                clients = [tasks.create_task(soak.client(n)) for n in range(STREAMS)]
                tasks.create_task(soak.break_things())
                tasks.create_task(soak.watch())
                await soak.passed(SECONDS)
                soak.over.set()
            assert all(client.done() for client in clients)
    memory, files = soak.growth()
    measured("runs", dict(soak.ends))
    measured("faults", dict(soak.faults))
    every = max(1, len(soak.sizes) // 12)
    measured("memory, MiB", [[each >> 20 for each in size[0]] for size in soak.sizes[::every]])
    measured("growth of memory and files", (memory, files))

    assert soak.wrong == [], f"SOAK_SEED={SEED}"
    assert soak.ends["run.completed"] > soak.ends.total() // 10
    assert memory < GROWTH_BYTES, f"SOAK_SEED={SEED}"
    assert files < GROWTH_FILES, f"SOAK_SEED={SEED}"
    assert "never retrieved" not in (tmp_path / "replica.log").read_text("utf-8")
