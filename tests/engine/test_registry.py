"""The registry: sharing, retention, ownership, drain."""

import asyncio
from typing import Any

import pytest

from llm_stream.engine.gate import Gate
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.retention import RUN_BYTES
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client
from llm_stream.errors import Draining, RunExpired, UnknownRun
from llm_stream.events import decoded, is_terminal

from .conftest import Clock, MakeRun, say
from .test_run import finished, silent


class Witness:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def run_started(self, run: Any) -> None:
        self.seen.append(("started", run.id))

    def run_finished(self, run: Any) -> None:
        self.seen.append((run.state, run.id))


@pytest.fixture
def registry(clock: Any) -> Any:
    """Keeps runs 60 s and 1 MB."""
    return RunRegistry(retention_seconds=60, retention_bytes=1_000_000, clock=clock)


def launch(
    registry: Any,
    make_run: Any,
    run_id: Any = "run_1",
    source: Any = None,
    *,
    key: Any = "k",
    share: Any = True,
    **info: Any,
) -> Any:
    """Start or join through the registry."""

    def create() -> Any:
        run = make_run(run_id, key, **info)
        run.start(source if source is not None else say("x"))
        return run

    return registry.start_or_join(key, create, Client(), join=share, share=share)


async def test_equal_calls_share_the_live_run(registry: Any, make_run: Any) -> None:
    """The second equal call joins; after the end the third starts anew."""
    run, joined = launch(registry, make_run)
    again, rejoined = launch(registry, make_run, "run_2")
    assert (joined, rejoined) == (False, True)
    assert again is run
    assert set(run.interest.claims) == {""}
    await finished(run)

    third, joined = launch(registry, make_run, "run_3")

    assert third is not run
    assert not joined
    await finished(third)


async def test_a_run_that_was_told_to_end_is_not_joined(registry: Any, make_run: Any) -> None:
    """Between a cancel and its end an equal call starts anew instead of being cancelled along."""
    dying, _ = launch(registry, make_run, source=silent())
    dying.cancel("requested")
    fresh, joined = launch(registry, make_run, "run_2")

    assert not joined
    await finished(dying)
    await finished(fresh)
    assert fresh.state == "completed"


async def test_who_must_not_share_is_not_joined(registry: Any, make_run: Any) -> None:
    """A call that must not be shared neither joins nor is joined."""
    first, _ = launch(registry, make_run, share=False)
    second, joined = launch(registry, make_run, "run_2")

    assert second is not first
    assert not joined
    await finished(first)
    await finished(second)


async def test_finished_runs_stay_until_their_time(
    registry: Any, make_run: Any, clock: Any
) -> None:
    """A finished run is found for 60 s; then it is expired, not unknown."""
    run, _ = launch(registry, make_run)
    await finished(run)
    clock.now += 59
    registry.retire()
    assert registry.find("run_1") is run

    clock.now += 1
    assert registry.retire() == 1

    with pytest.raises(RunExpired):
        registry.find("run_1")
    with pytest.raises(UnknownRun):
        registry.find("run_2")


async def test_the_oldest_finished_runs_go_when_bytes_run_out(make_run: Any, clock: Any) -> None:
    """Over the byte bound the oldest go first and the sum stays below it."""
    registry = RunRegistry(retention_seconds=60, retention_bytes=30_000, clock=clock)
    for number in range(20):
        run, _ = launch(registry, make_run, f"run_{number}", key=str(number))
        await finished(run)

    kept = [run.id for run in registry.newest()]

    assert kept == [f"run_{n}" for n in range(19, 19 - len(kept), -1)]
    assert 0 < registry.log_bytes <= 30_000
    assert len(kept) <= 30_000 // RUN_BYTES  # a run is more than its events


async def test_another_owners_run_is_unknown(registry: Any, make_run: Any) -> None:
    """Whose run it is not, for them it does not exist, also when it has expired."""
    run, _ = launch(registry, make_run, owner="ann")

    with pytest.raises(UnknownRun):
        registry.find(run.id, "bob")
    assert list(registry.newest("bob")) == []
    assert registry.find(run.id, "ann") is run
    await finished(run)


async def test_inner_runs_are_hidden(registry: Any, make_run: Any) -> None:
    """Runs asked for by a recipe are listed only on request."""
    run, _ = launch(registry, make_run, parent="run_0")

    assert list(registry.newest()) == []
    assert list(registry.newest(hidden=True)) == [run]
    await finished(run)


async def test_observers_hear_of_beginning_and_end(make_run: Any, clock: Any) -> None:
    """Each run is reported once as started and once as ended."""
    witness = Witness()
    registry = RunRegistry(
        retention_seconds=60, retention_bytes=10_000, clock=clock, observers=(witness,)
    )
    run, _ = launch(registry, make_run)
    await finished(run)

    assert witness.seen == [("started", "run_1"), ("completed", "run_1")]


async def test_an_observer_that_fails_keeps_nobody_from_the_end(
    make_run: MakeRun, clock: Clock
) -> None:
    """The other observers are told and retention goes on."""

    class Broken(Witness):
        def run_finished(self, run: Run) -> None:
            raise ValueError(run.id)

    witness = Witness()
    registry = RunRegistry(
        retention_seconds=0, retention_bytes=10_000, clock=clock, observers=(Broken(), witness)
    )
    run, _ = launch(registry, make_run)
    await finished(run)

    assert witness.seen[-1] == ("completed", "run_1")
    with pytest.raises(RunExpired):
        registry.find("run_1")


async def test_a_drain_refuses_new_runs_and_waits_for_live_ones(
    registry: Any, make_run: Any
) -> None:
    """While draining, starting raises, joining works, and the wait ends with the last run."""
    reached = asyncio.Event()
    run, _ = launch(registry, make_run, source=silent(reached))
    await reached.wait()
    draining = asyncio.create_task(registry.drain(30))
    await asyncio.sleep(0)
    with pytest.raises(Draining):
        launch(registry, make_run, "run_2", key="other")
    assert launch(registry, make_run, "run_3") == (run, True)

    run.cancel("requested")

    assert await draining


async def test_a_drain_gives_up_at_its_time(registry: Any, make_run: Any) -> None:
    """A run that does not end makes the drain say so; closing then cancels it."""
    run, _ = launch(registry, make_run, source=silent())

    assert not await registry.drain(0)
    await registry.close()

    assert decoded(run.events()[-1])["reason"] == "shutdown"
    assert registry.live == 0


async def test_a_thousand_cancels_leave_one_end_each(registry: Any, make_run: Any) -> None:
    """1,000 runs cancelled at different turns of the loop: one terminal each, nobody left."""
    runs = []
    for number in range(1000):
        run, _ = launch(registry, make_run, f"run_{number}", say(*"abcdef"), key=str(number))
        runs.append(run)
        if number % 3:
            await asyncio.sleep(0)
        runs[number // 2].cancel("requested")
    await asyncio.gather(*(finished(run) for run in runs))

    ends = [sum(is_terminal(event) for event in run.events()) for run in runs]
    assert ends == [1] * 1000
    assert registry.live == 0


async def test_a_recipe_does_not_join_what_waits_for_a_slot(registry: Any, make_run: Any) -> None:
    """It may wait for the recipe itself; callers, who hold nothing, may join it."""
    gate = Gate(1, 2, "the service")
    holder = gate.admit()
    await holder.enter(lambda _position: None)
    waiting = make_run("run_1", "k")

    def start() -> Any:
        waiting.start(say("x"), [gate.admit()])
        return waiting

    registry.start_or_join("k", start, Client("ann"), share=True)
    _, joined = registry.start_or_join("k", start, Client("bob"), share=True)
    own = make_run("run_2", "k")
    own.start(say("x"))
    inner, shared = registry.start_or_join("k", lambda: own, Client("c", inner=True), share=True)

    assert joined
    assert (inner, shared) == (own, False)
    holder.leave()
    await finished(waiting)
    await finished(own)


async def test_a_run_that_came_back_has_its_place(
    registry: Any, make_run: Any, clock: Clock
) -> None:
    """The end of a run whose id another one has by now takes nothing of that one away."""
    old, _ = launch(registry, make_run, source=silent(), share=False)
    old.hand_over()
    new, _ = launch(registry, make_run, source=silent(), share=False)
    old.cancel("shutdown")
    assert (registry.live, registry.get("run_1")) == (1, new)
    new.cancel("requested")
    await finished(new)
    clock.now += 61
    registry.retire()

    assert registry.live == 0
    with pytest.raises(RunExpired):
        registry.find("run_1")
