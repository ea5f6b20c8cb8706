"""Claims of other replicas' clients."""

from typing import Any

import pytest

from llm_stream.engine.redislog.claimants import GONE_SECONDS, Claimants
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.records import Keys
from llm_stream.engine.runinfo import Client
from llm_stream.errors import LogUnavailable

from ...redisserver import RedisServer
from ..conftest import Clock, MakeRun

KEYS = Keys("test")


@pytest.fixture
async def link(redis_server: RedisServer, clock: Clock) -> Any:
    """A way to a real Redis."""
    link = RedisLink(redis_server.url, clock=clock)
    yield link
    await link.close()


async def test_claims_of_a_replica_that_is_gone_are_forgotten(
    link: RedisLink, clock: Clock, make_run: MakeRun
) -> None:
    """They stay while it shows a sign of life, and then no longer keep a run from its end."""
    run = make_run(claim="ours", abandon_seconds=5.0)
    run.join(Client("theirs", 5.0))
    claimants = Claimants(link, KEYS, {run.id: run}.get, clock)
    claimants.claimed("r_1", run.id, "theirs")
    await link.ask([("SET", KEYS.alive("r_1"), "1")])
    await claimants.look()
    clock.now += GONE_SECONDS
    await claimants.look()
    assert run.interest.claims.keys() == {"ours", "theirs"}

    await link.ask([("DEL", KEYS.alive("r_1"))])
    await claimants.look()
    clock.now += GONE_SECONDS
    await claimants.look()

    assert run.interest.claims.keys() == {"ours"}
    assert run.interest.release("ours")


async def test_claims_of_a_replica_that_is_back_count_again(
    link: RedisLink, clock: Clock, make_run: MakeRun
) -> None:
    """One that was frozen for long has its clients' claims as before."""
    run = make_run(claim="ours", abandon_seconds=5.0)
    run.join(Client("theirs", 5.0))
    claimants = Claimants(link, KEYS, {run.id: run}.get, clock)
    claimants.claimed("r_1", run.id, "theirs")
    for _ in range(2):
        await claimants.look()
        clock.now += GONE_SECONDS
    assert run.interest.claims.keys() == {"ours"}

    await link.ask([("SET", KEYS.alive("r_1"), "1")])
    await claimants.look()

    assert run.interest.claims.keys() == {"ours", "theirs"}
    assert not run.interest.release("ours")
    assert run.interest.release("theirs")


async def test_nobody_is_gone_for_an_outage(
    link: RedisLink, redis_server: RedisServer, clock: Clock, make_run: MakeRun
) -> None:
    """A sign of life that is missing before and after one is missing anew."""
    run = make_run(claim="ours")
    run.join(Client("theirs", 5.0))
    claimants = Claimants(link, KEYS, {run.id: run}.get, clock)
    claimants.claimed("r_1", run.id, "theirs")
    await claimants.look()
    redis_server.kill()
    with pytest.raises(LogUnavailable):
        await claimants.look()
    redis_server.start()
    clock.now += GONE_SECONDS
    await claimants.look()

    assert run.interest.claims.keys() == {"ours", "theirs"}
