"""Runs that were taken over: run again as if launched here, or recorded as lost."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import pytest

from llm_stream.cache.answers import AnswerCache
from llm_stream.cache.shelf import MemoryShelf
from llm_stream.engine.gate import Gate
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, Outcome, RunInfo
from llm_stream.errors import Draining
from llm_stream.events import decoded, encoded, kind_of
from llm_stream.launcher import Launcher
from llm_stream.models.chunks import Message
from llm_stream.recipes.spec import CacheControl, RunSpec, dump_spec
from llm_stream.restarting import Restarter

from .problem import PROBLEM, only_its_code

ID = "run_01KAQ8Z3M5XW2T9V7B4C6D8E0F"


class Held:
    """A recipe that says the prompt when it is let go."""

    name = "generate"

    def __init__(self) -> None:
        self.go = asyncio.Event()

    def identity(self, spec: Any) -> str:
        return ""

    async def run(self, spec: Any, ask: Any) -> AsyncGenerator[Any]:
        await self.go.wait()
        yield {"type": "text.delta", "text": spec.messages[-1].content}
        yield Outcome("stop")


class Leases:
    """Flights of which all leases are free, or none; `taken` are those that others cannot have."""

    def __init__(self, *, free: bool = True) -> None:
        self.keep_spec: Callable[[str, bytes], None] | None = None
        self.free = free
        self.held: dict[str, str] = {}
        self.taken: set[str] = set()

    async def claim(self, key: str) -> bool:
        self.held.pop(key, None)
        self.taken |= {key} if self.free else set()
        return self.free

    async def join(
        self, key: str, client: Client, owner: str, marks: Mapping[str, int]
    ) -> Run | None:
        return None

    def hold(self, key: str, run: Run) -> None:
        self.held[key] = run.id

    def release(self, key: str) -> None:
        if key not in self.held:
            self.taken.discard(key)


class Restarts:
    """A restarter and all it works with; `recorded` is what the history was told."""

    def __init__(self, *, free: bool = True) -> None:
        self.recipe = Held()
        self.leases = Leases(free=free)
        self.registry = RunRegistry(retention_seconds=60, retention_bytes=10_000)
        self.cache = AnswerCache(MemoryShelf(max_entries=10, max_bytes=100_000), ttl_seconds=60)
        self.recorded: list[tuple[RunSpec, Run, Any]] = []
        self.reuses: list[str] = []
        gate = Gate(5, 5, "the service")
        self.launcher = Launcher(
            {"generate": self.recipe}, self.registry, self.cache, gate, max_log_bytes=10_000,
            describe_error=only_its_code, flights=self.leases,
            history=self,
        )  # fmt: skip
        self.restarter = Restarter(self.launcher.production, self.registry, gate, self.leases)

    def record(self, spec: RunSpec, run: Run, marks: Any) -> None:
        self.recorded.append((spec, run, marks))

    def reused(self, spec: RunSpec, how: str) -> None:
        self.reuses.append(how)

    async def restart(self, asked: RunSpec) -> Run:
        """Take the run of this spec over, of which there is one event."""
        info = about(asked)
        earlier = [
            encoded(1, 1, ID, 0, info.started()),
            encoded(2, 1, ID, 0, {"type": "run.restarted", "reason": "owner_lost"}),
        ]
        return await self.restarter.restart(info, dump_spec(asked), 2, earlier)

    async def end(self, run: Run) -> list[str]:
        """Let the recipe go; the types of the run's events."""
        self.recipe.go.set()
        with run.subscribe() as reader:
            return [kind_of(event) async for batch in reader.batches() for event in batch]


@pytest.fixture
async def here() -> Restarts:
    """All of it, with every lease free."""
    return Restarts()


def spec(**changes: Any) -> RunSpec:
    """A request."""
    hi = (Message("user", "hi"),)
    return RunSpec(recipe="generate", model="m", messages=hi, request="req_1", **changes)


def about(asked: RunSpec) -> RunInfo:
    """What its run is about."""
    key = asked.fingerprint()
    return RunInfo(id=ID, recipe="generate", model="m", key=key, title="hi", request="req_1")


async def test_its_answer_is_kept_and_recorded(here: Restarts) -> None:
    """An equal request finds the answer in the cache; the history has the run, once."""
    run = await here.restart(spec())
    types = await here.end(run)
    replay, _ = await here.launcher.launch(spec())

    assert types == ["run.started", "run.restarted", "text.delta", "run.completed"]
    assert replay.info.cache == "hit"
    ((asked, recorded, marks),) = here.recorded
    assert (asked, recorded.state) == (spec(), "completed")
    assert marks is not None


async def test_equal_calls_join_it(here: Restarts) -> None:
    """It holds the lease of its call and is found by equal calls here."""
    run = await here.restart(spec())
    other, joined = await here.launcher.launch(spec())

    assert joined
    assert other is run
    assert here.leases.held == {run.info.key: ID}
    await here.end(run)


async def test_a_bypass_stays_alone(here: Restarts) -> None:
    """Who wanted to share with nobody does not by a takeover."""
    alone = spec(cache=CacheControl(mode="bypass"))
    run = await here.restart(alone)
    other, joined = await here.launcher.launch(spec())

    assert not joined
    assert here.leases.held == {run.info.key: other.id}
    await here.end(run)
    assert [marks for asked, _, marks in here.recorded if asked == alone] == [None]


async def test_one_that_began_meanwhile_is_joined_instead(here: Restarts) -> None:
    """An equal call that came between loss and takeover stays what others join."""
    first, _ = await here.launcher.launch(spec())
    run = await here.restart(spec())
    second, joined = await here.launcher.launch(spec())

    assert joined
    assert second is first is not run
    assert here.leases.held == {run.info.key: first.id}
    await here.end(run)


async def test_a_service_that_ends_begins_nothing(here: Restarts) -> None:
    """While draining the run is left to another replica, and so is the lease on its call."""
    await here.registry.drain(0)

    with pytest.raises(Draining):
        await here.restart(spec())
    assert here.leases.held == {}
    assert here.leases.taken == set()


async def test_a_service_that_ends_keeps_the_lease_of_what_it_still_does(here: Restarts) -> None:
    """While draining an equal call that began here before goes on to hold the lease."""
    first, _ = await here.launcher.launch(spec())
    await here.registry.drain(0)

    with pytest.raises(Draining):
        await here.restart(spec())
    assert here.leases.held == {first.info.key: first.id}
    assert here.leases.taken == {first.info.key}
    await here.end(first)


async def test_a_lease_of_another_replica_is_left_to_it() -> None:
    """Where an equal call is under way elsewhere, the run goes on without the lease."""
    here = Restarts(free=False)
    run = await here.restart(spec())

    assert here.leases.held == {}
    assert (await here.end(run))[-1] == "run.completed"


async def test_nobody_reading_ends_it(here: Restarts, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its readers have not come back within the time they need, it is abandoned."""
    monkeypatch.setattr("llm_stream.restarting.RETURN_SECONDS", 0.0)
    run = await here.restart(spec(abandon_seconds=0.0))
    assert run.task is not None
    await asyncio.wait([run.task])

    assert decoded(run.events()[-1])["reason"] == "abandoned"


@pytest.mark.parametrize(("asked", "patience"), [(0.0, 30.0), (50.0, 50.0), (None, None)])
async def test_readers_have_time_to_come_back(
    here: Restarts, asked: float | None, patience: float | None
) -> None:
    """Patience is what was asked for, and half a minute at least."""
    run = await here.restart(spec(abandon_seconds=asked))

    assert run.interest.patience_seconds == patience
    await here.end(run)


async def test_what_is_no_spec_is_told(here: Restarts) -> None:
    """Bytes that are no spec, or name no recipe, begin nothing."""
    with pytest.raises(ValueError, match="JSON"):
        await here.restarter.restart(about(spec()), b"{", 2, [])
    with pytest.raises(KeyError):
        await here.restarter.restart(
            about(spec()), dump_spec(RunSpec(recipe="gone", model="m")), 2, []
        )

    assert here.registry.live == 0


async def test_a_lost_run_is_recorded_without_its_request(here: Restarts) -> None:
    """Where requests are not shared, what is known of the run is; a replay is not recorded."""
    run = await here.restart(spec())
    here.restarter.record(about(spec()), b"", run)
    here.restarter.record(about(spec())._replace(cache="hit"), b"", run)
    here.restarter.record(about(spec()), dump_spec(spec()), run)

    assert [(asked.model, asked.request, asked.messages) for asked, _, _ in here.recorded] == [
        ("m", "req_1", ()), ("m", "req_1", spec().messages),
    ]  # fmt: skip
    await here.end(run)


async def test_a_run_that_was_handed_over_is_not_recorded(here: Restarts) -> None:
    """Who has it now keeps and records it; here it ends without."""
    run, _ = await here.launcher.launch(spec())
    run.hand_over()
    run.feed([encoded(2, 1, run.id, 0, {"type": "run.failed", "error": PROBLEM})])

    assert run.state == "failed"
    assert here.recorded == []
