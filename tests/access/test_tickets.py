"""Tickets: once, and soon."""

from collections.abc import AsyncIterator

import pytest

from llm_stream.access.tickets import (
    MAX_TICKETS,
    TICKET_SECONDS,
    MemoryTickets,
    RedisTickets,
    Tickets,
    TicketShelf,
    of_subprotocol,
    subprotocol,
)
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.errors import Unauthenticated

from ..engine.conftest import Clock
from ..redisserver import RedisServer


@pytest.fixture(params=["memory", "redis"])
async def shelf(request: pytest.FixtureRequest) -> AsyncIterator[TicketShelf]:
    """Either kind."""
    if request.param == "memory":
        yield MemoryTickets()
        return
    link = RedisLink(request.getfixturevalue("redis_server").url)
    yield RedisTickets(link, "t")
    await link.close()


@pytest.mark.parametrize("client", ["aaaaaaaa", ""])
async def test_a_ticket_is_taken_once(shelf: TicketShelf, client: str) -> None:
    """And names who was given it; "" where no keys are asked for."""
    tickets = Tickets(shelf)
    text, other = await tickets.give(client), await tickets.give("other")

    assert await tickets.take(text) == client
    for used in (text, "x" * 40, "", "\ud800" * 40):
        with pytest.raises(Unauthenticated):
            await tickets.take(used)
    assert await tickets.take(other) == "other"


async def test_a_ticket_ends_after_half_a_minute() -> None:
    """Not before."""
    clock = Clock()
    tickets = Tickets(MemoryTickets(clock))
    early, late = await tickets.give("a"), await tickets.give("a")
    clock.now += TICKET_SECONDS - 0.1

    assert await tickets.take(early) == "a"
    clock.now += 0.1
    with pytest.raises(Unauthenticated):
        await tickets.take(late)


async def test_tickets_that_nobody_uses_are_forgotten() -> None:
    """A client's own oldest first, nobody else's."""
    shelf = MemoryTickets()
    await shelf.put("other", "b")
    for number in range(MAX_TICKETS + 1):
        await shelf.put(str(number), "a")

    assert await shelf.take("0") is None
    assert await shelf.take("1") == "a"
    assert await shelf.take("other") == "b"


async def test_redis_forgets_them_too(redis_server: RedisServer) -> None:
    """And holds hashes, no tickets."""
    link = RedisLink(redis_server.url)
    text = await Tickets(RedisTickets(link, "t")).give("a")
    ((key,),) = await link.ask([("KEYS", "*")])
    (seconds,) = await link.ask([("TTL", key)])
    await link.close()

    assert 0 < seconds <= TICKET_SECONDS
    assert text not in key.decode()


def test_a_subprotocol_holds_a_ticket() -> None:
    """What holds none, or is no text, is told from it."""
    assert of_subprotocol(subprotocol("abc")) == "abc"
    for name in ("llm-stream.v1", "ticket", "ticket.", "ticket.!", "ticket._w", "ticket.\u00e9"):
        assert of_subprotocol(name) == ""
