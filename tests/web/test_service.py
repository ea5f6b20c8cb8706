"""What handlers share: connections that a shutdown can wait for, and that it has begun."""

import asyncio

from llm_stream.web.service import Connections, Draining


async def test_waiting_ends_when_the_last_one_has_ended() -> None:
    """Two open connections: the wait ends with the second."""
    connections = Connections()
    await connections.ended()
    with connections:
        with connections:
            assert len(connections) == 2
            waiting = asyncio.create_task(connections.ended())
        await asyncio.sleep(0)
        assert not waiting.done()

    await waiting
    assert len(connections) == 0


async def test_who_has_to_know_of_a_drain_is_told_once() -> None:
    """In a later turn of the loop; also who asks when it has begun, but not who has left."""
    draining, told = Draining(), list[str]()
    gone = lambda: told.append("gone")  # noqa: E731 - to be taken back
    draining.notify(lambda: told.append("early"))
    draining.notify(gone)
    assert not draining.is_set()
    draining.set()
    draining.forget(gone)
    assert (draining.is_set(), told) == (True, [])
    await asyncio.sleep(0)
    assert told == ["early"]
    draining.notify(lambda: told.append("late"))
    draining.set()
    await asyncio.sleep(0)

    assert told == ["early", "late"]
