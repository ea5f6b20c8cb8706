"""The lease on a call, for a run that goes on with or without it."""

import pytest

from llm_stream.engine.redislog.flights import RedisFlights
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.post import Post
from llm_stream.engine.redislog.records import Keys
from llm_stream.engine.run import Run

from ...redisserver import RedisServer

KEYS = Keys("test")


@pytest.fixture
def flights(link: RedisLink) -> RedisFlights:
    """Leases of the replica `r_1`, which opens no runs of others."""

    async def nothing(run: str, owner: str) -> Run:
        raise AssertionError(run)

    post = Post(link, KEYS, "r_1")
    return RedisFlights(link, KEYS, "r_1", post, open_run=nothing, keep_spec=None)


async def holder(link: RedisLink) -> bytes | None:
    """Who has the lease on the call `k`."""
    (name,) = await link.ask([("GET", KEYS.flight("k"))])
    return None if name is None else bytes(name)


async def test_a_free_lease_is_taken(link: RedisLink, flights: RedisFlights) -> None:
    """Of nobody, of a replica that is gone, or already this one's: it is this one's."""
    assert await flights.claim("k")
    assert await flights.claim("k")
    await link.ask([("SET", KEYS.flight("k"), "r_gone")])
    assert await flights.claim("k")

    assert await holder(link) == b"r_1"


async def test_a_lease_stays_with_who_lives(link: RedisLink, flights: RedisFlights) -> None:
    """Another replica that shows a sign of life keeps it."""
    await link.ask([("SET", KEYS.flight("k"), "r_2"), ("SET", KEYS.alive("r_2"), "1")])

    assert not await flights.claim("k")
    assert await holder(link) == b"r_2"


async def test_without_redis_there_is_no_lease(
    flights: RedisFlights, redis_server: RedisServer
) -> None:
    """Where nobody can tell, the run goes on without."""
    redis_server.kill()

    assert not await flights.claim("k")
