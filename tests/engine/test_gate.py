"""The gate: order, bound, and no slot lost to a cancellation."""

import asyncio
from typing import Any

import pytest

from llm_stream.engine.gate import Gate
from llm_stream.errors import TooManyRuns


async def test_waiting_passes_go_in_the_order_they_came() -> None:
    """Slots go to the longest waiter, and positions count from 1."""
    gate = Gate(1, 5, "test")
    first, second, third = (gate.admit() for _ in range(3))
    positions: list[int] = []
    order = []

    async def go(name: Any, ticket: Any) -> None:
        await ticket.enter(positions.append)
        order.append(name)

    await go("first", first)
    tasks = [asyncio.create_task(go(n, t)) for n, t in (("second", second), ("third", third))]
    await asyncio.sleep(0)
    first.leave()
    await tasks[0]
    second.leave()
    await tasks[1]

    assert positions == [1, 2]
    assert order == ["first", "second", "third"]


async def test_one_more_than_slots_and_queue_is_refused() -> None:
    """Admission beyond slots plus queue raises at once, and room comes back."""
    gate = Gate(1, 1, "this connection")
    passes = [gate.admit(), gate.admit()]
    with pytest.raises(TooManyRuns, match="this connection"):
        gate.admit()

    passes[1].leave()

    gate.admit()


async def test_a_waiter_that_leaves_gives_its_place_to_the_next() -> None:
    """A pass cancelled in the queue neither takes nor loses a slot."""
    gate = Gate(1, 5, "test")
    holder, quitter, last = (gate.admit() for _ in range(3))
    await holder.enter(lambda _: None)
    quitting = asyncio.create_task(quitter.enter(lambda _: None))
    waiting = asyncio.create_task(last.enter(lambda _: None))
    await asyncio.sleep(0)
    quitting.cancel()
    await asyncio.gather(quitting, return_exceptions=True)
    quitter.leave()

    holder.leave()
    await waiting

    assert last.inside
    assert gate.waiting == 0


async def test_a_slot_granted_to_a_cancelled_waiter_is_passed_on() -> None:
    """Cancelled in the very turn it was granted, a pass still gives the slot back."""
    gate = Gate(1, 5, "test")
    holder, unlucky, last = (gate.admit() for _ in range(3))
    await holder.enter(lambda _: None)
    task = asyncio.create_task(unlucky.enter(lambda _: None))
    waiting = asyncio.create_task(last.enter(lambda _: None))
    await asyncio.sleep(0)
    holder.leave()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    unlucky.leave()
    await waiting

    assert last.inside


async def test_leaving_twice_frees_one_slot() -> None:
    """`leave` is idempotent."""
    gate = Gate(1, 0, "test")
    ticket = gate.admit()
    await ticket.enter(lambda _: None)
    ticket.leave()
    ticket.leave()

    gate.admit()
    with pytest.raises(TooManyRuns):
        gate.admit()


async def test_parties_take_turns() -> None:
    """Whoever has many waiting does not keep another waiting behind all of them."""
    gate, order = Gate(1, 10, "test"), list[str]()
    holder = gate.admit("a")
    await holder.enter(lambda _: None)
    positions: list[int] = []

    async def go(name: str) -> None:
        ticket = gate.admit(name[0])
        await ticket.enter(positions.append)
        order.append(name)
        ticket.leave()

    names = ("a1", "a2", "a3", "b1", "c1", "b2")
    tasks = [asyncio.create_task(go(name)) for name in names]
    await asyncio.sleep(0)
    waiting = gate.waiting
    holder.leave()
    await asyncio.gather(*tasks)

    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert positions == [1, 2, 3, 2, 3, 5]
    assert (waiting, gate.waiting) == (6, 0)


def test_a_party_that_has_nothing_finds_room() -> None:
    """For one, however full it is; what it gives back is free for all."""
    gate = Gate(1, 1, "test")
    full = [gate.admit("a"), gate.admit("a")]
    first = gate.admit("b")
    for party in ("a", "b"):
        with pytest.raises(TooManyRuns):
            gate.admit(party)
    for ticket in (*full, first):
        ticket.leave()

    gate.admit("b")
    gate.admit("b")


async def test_who_wants_to_know_of_a_leaving_is_told_once() -> None:
    """However often the place is given back."""
    told = []
    ticket = Gate(1, 0, "test").admit()
    ticket.on_leave = lambda: told.append(True)
    ticket.leave()
    ticket.leave()

    assert told == [True]
