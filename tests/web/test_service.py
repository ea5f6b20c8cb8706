"""What handlers share: connections that a shutdown can wait for."""

import asyncio

from llm_stream.web.service import Connections


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
