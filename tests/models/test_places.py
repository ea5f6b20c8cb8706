"""Places: so many calls at once, the others in line, and a provider's word about it."""

import asyncio

import pytest

from llm_stream.models.resilience.places import Admission, Places


async def turns(count: int = 3) -> None:
    """Let other tasks run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_those_beyond_the_limit_wait_in_order() -> None:
    """A place that falls free goes to the one who has waited longest."""
    places, entered = Places(1), list[int]()

    async def enter(number: int) -> None:
        await places.enter()
        entered.append(number)

    await enter(0)
    tasks = [asyncio.create_task(enter(number)) for number in (1, 2)]
    await turns()
    assert (entered, places.waiting, places.ahead) == ([0], 2, 3)
    places.leave()
    await turns()
    assert entered == [0, 1]
    places.leave()
    await asyncio.gather(*tasks)

    assert (entered, places.busy, places.waiting) == ([0, 1, 2], 1, 0)


async def test_nobody_overtakes_the_line() -> None:
    """A place that was handed on is not free for a newcomer of the same turn."""
    places = Places(1)
    await places.enter()
    waiting = asyncio.create_task(places.enter())
    await turns()
    places.leave()

    assert places.ahead == 1
    await waiting


async def test_a_cancelled_wait_leaves_the_line() -> None:
    """The next one gets what it would have got."""
    places = Places(1)
    await places.enter()
    first, second = (asyncio.create_task(places.enter()) for _ in range(2))
    await turns()
    first.cancel()
    await asyncio.wait([first])
    places.leave()
    await second

    assert (places.busy, places.waiting) == (1, 0)


@pytest.mark.parametrize("leave_first", [True, False])
async def test_a_cancel_in_the_turn_of_the_place_loses_none(leave_first: bool) -> None:
    """Whichever comes first, the place is free afterwards."""
    places = Places(1)
    await places.enter()
    task = asyncio.create_task(places.enter())
    await turns()
    for act in (places.leave, task.cancel) if leave_first else (task.cancel, places.leave):
        act()
    await asyncio.wait([task])

    assert task.cancelled()
    assert (places.busy, places.ahead) == (0, 0)


async def test_a_provider_that_takes_no_more_is_waited_for() -> None:
    """Without a limit of ours, too; after the reset all go on."""
    places = Places()
    places.note(1, 0.02)
    await places.enter()
    assert places.ahead == 1
    await asyncio.gather(places.enter(), places.enter())

    assert places.busy == 3


async def test_a_later_word_replaces_an_earlier_one() -> None:
    """More calls are let in as soon as the provider says so."""
    places = Places()
    places.note(0, 3600)
    waiting = asyncio.create_task(places.enter())
    await turns()
    assert not waiting.done()
    places.note(5, 3600)
    await waiting

    assert places.ahead == 0
    places.note(0, 0)
    await turns()


async def test_an_absurd_reset_stops_nobody_for_long() -> None:
    """A provider's word counts up to a bound."""
    places = Places(None, max_pause_seconds=0.01)
    places.note(-7, 1e12)

    await asyncio.wait_for(places.enter(), 5)


async def test_all_places_or_none() -> None:
    """A call cancelled while it waits for the second gives the first one back."""
    own, shared = Places(1), Places(1)
    await shared.enter()
    admission = Admission(own, shared)
    assert admission.ahead == 1

    async def call() -> None:
        async with admission:
            raise AssertionError

    task = asyncio.create_task(call())
    await turns()
    assert own.busy == 1
    task.cancel()
    await asyncio.wait([task])

    assert (own.busy, own.waiting, shared.busy, shared.waiting) == (0, 0, 1, 0)
