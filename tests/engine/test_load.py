"""Shedding load: when nothing new begins, and what goes on."""

import asyncio

import pytest

from llm_stream.engine.gate import Gate, admit_all
from llm_stream.engine.load import FEW_RUNS, GuardedGate, LoadGuard
from llm_stream.errors import Overloaded, TooManyRuns

from .conftest import Clock


def look(load: LoadGuard, *late_seconds: float) -> None:
    """The loop was so late at one look after the other."""
    for late in late_seconds:
        load.observe(late)


def test_nothing_begins_while_the_loop_is_late() -> None:
    """From the limit on; it is refused in no time, and said when to come back."""
    load = LoadGuard(0.5)
    gate = GuardedGate(FEW_RUNS, 1, "the service", load)
    look(load, 0.4, 0.4)
    inside, *_ = [gate.admit() for _ in range(FEW_RUNS)]
    look(load, 0.5, 0.5)

    with pytest.raises(Overloaded) as caught:
        gate.admit()
    assert (caught.value.retry_after_ms, load.refused) == (1000, 1)
    gate.admit_patiently().leave()  # what has begun elsewhere may go on here
    inside.leave()
    gate.admit()  # a few are not what is too much, however late the loop is


def test_late_once_is_no_overload() -> None:
    """A look at the disk or a collection of garbage makes the loop late, and is over."""
    load = LoadGuard(0.5)
    look(load, 3600, 0.0, 3600)

    load.check()


def test_a_lateness_fades() -> None:
    """It takes some looks, so that a loop that has just been late is not flooded at once."""
    load = LoadGuard(0.5)
    look(load, 1.5, 1.5)
    looks = 0
    while load.late_seconds >= 0.5:
        load.observe(0.0)
        looks += 1

    assert looks == 2
    load.check()


def test_without_a_limit_everything_begins() -> None:
    """However late the loop is."""
    load = LoadGuard(0)
    look(load, 3600, 3600)
    load.check()


def test_who_is_refused_holds_no_place_elsewhere() -> None:
    """Neither at the connection's gate."""
    load, own = LoadGuard(0.5), Gate(1, 0, "this connection")
    gate = GuardedGate(FEW_RUNS + 1, 0, "the service", load)
    for _ in range(FEW_RUNS):
        gate.admit_patiently()
    look(load, 1, 1)
    with pytest.raises(Overloaded):
        admit_all([own, gate])
    own.admit()

    with pytest.raises(TooManyRuns):
        own.admit()


async def test_the_loop_is_watched() -> None:
    """A timer that comes late tells how late, and lets nothing begin the second time."""
    clock, told = Clock(), list[float]()
    load = LoadGuard(0.5, clock)
    task = asyncio.create_task(load.watch(0.0, told.append))
    await asyncio.sleep(0)  # it has begun to wait
    for looks in (1, 2):
        clock.now += 2
        while len(told) < looks:
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert told == [2, 2]
    with pytest.raises(Overloaded):
        load.check()
