"""What a client may have, held to."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from llm_stream.access.counters import RedisCounters
from llm_stream.access.limits import ClientLimits
from llm_stream.access.places import HeldPlaces, RedisPlaces
from llm_stream.access.principal import Allowance, Principal
from llm_stream.engine.gate import Pass
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.runinfo import Outcome
from llm_stream.errors import LimitReached, TooManyRuns
from llm_stream.payloads import Payload

from ..engine.conftest import Clock, make_run, say
from ..engine.test_run import finished
from ..redisserver import RedisServer

__all__ = ["make_run"]


def client(name: str = "a", **allowance: Any) -> Principal:
    """A client with these limits."""
    return Principal(id=name, owner=name, allowance=Allowance(**allowance))


async def begin(limits: ClientLimits, some: Principal) -> Pass:
    """A place for a run of the client's."""
    room = limits.room(some)
    assert room is not None
    return await room.admit(some.owner)


async def opened(limits: ClientLimits, some: Principal) -> None:
    """Open a socket of the client's and close it."""
    async with limits.socket(some):
        pass


async def soon(attempt: Callable[[], Awaitable[object]]) -> None:
    """Try until it is not refused: another replica hears of a place a moment later."""
    refused = True
    while refused:
        with suppress(LimitReached, TooManyRuns):
            await attempt()
            refused = False


async def spending(read: int, written: int) -> AsyncGenerator[Payload | Outcome]:
    """A source that reports so many tokens."""
    yield {"type": "usage", "model": "m", "input_tokens": read, "output_tokens": written,
           "details": {}, "estimated": False}  # fmt: skip
    yield Outcome("stop")


async def test_without_limits_nothing_is_refused() -> None:
    """However often it is asked."""
    limits = ClientLimits()
    for _ in range(100):
        await limits.admit(client())

    assert limits.room(client()) is None


async def test_starts_have_a_rate() -> None:
    """It says when there is one more."""
    limits, some = ClientLimits(steady=Clock()), client(runs_per_second=2)
    for _ in range(2):
        await limits.admit(some)

    with pytest.raises(LimitReached, match="2 runs a second") as caught:
        await limits.admit(some)
    assert caught.value.retry_after_ms == 500
    await limits.admit(client("b", runs_per_second=2))


async def test_tokens_are_counted_as_runs_end(make_run: Any) -> None:
    """What has begun goes on; the next has to wait for the next minute."""
    clock = Clock()
    clock.now = 6_000_000.0
    limits, some = ClientLimits(clock=clock), client(tokens_per_minute=2)
    await limits.admit(some)
    run = make_run(owner="a")
    run.start(spending(1, 1))
    await finished(run)
    limits.run_finished(run)
    await limits.settled()

    with pytest.raises(LimitReached, match="2 tokens a minute") as caught:
        await limits.admit(some)
    assert caught.value.retry_after_ms == 60_000
    await limits.admit(client("b", tokens_per_minute=2))
    clock.now += 60
    await limits.admit(some)


async def test_what_no_model_has_reported_is_estimated(make_run: Any) -> None:
    """Or an answer would cost nothing to who cancels it just before its end."""
    limits, some = ClientLimits(), client(tokens_per_day=2)
    run = make_run(owner="a")
    run.start(say("eight", "ch", "ars"))
    await finished(run)
    limits.run_finished(run)
    await limits.settled()

    with pytest.raises(LimitReached):
        await limits.admit(some)


async def test_a_batch_is_as_many_as_it_has_requests() -> None:
    """Let in as one, waited for as all of them."""
    limits, some = ClientLimits(steady=Clock()), client(runs_per_second=2)
    await limits.admit(some, 10)

    with pytest.raises(LimitReached) as caught:
        await limits.admit(some)
    assert caught.value.retry_after_ms == 4500


async def test_runs_at_once_have_a_room_of_the_clients_own() -> None:
    """The same for all of its requests, until the limit is another."""
    limits, some = ClientLimits(), client(concurrent_runs=1)
    ticket = await begin(limits, some)

    with pytest.raises(TooManyRuns, match="your key"):
        await begin(limits, some)
    await begin(limits, client(concurrent_runs=2))
    await begin(limits, client("b", concurrent_runs=1))
    ticket.leave()
    await begin(limits, some)


async def test_sockets_are_counted_while_they_are_open() -> None:
    """One that is closed makes room."""
    limits, some = ClientLimits(), client(sockets=1)
    async with limits.socket(some), limits.socket(client("b", sockets=1)):
        with pytest.raises(LimitReached):
            await opened(limits, some)

    await opened(limits, some)


async def test_replicas_count_together_and_each_alone_without_redis(
    redis_server: RedisServer,
) -> None:
    """Two replicas give two starts a second; one that has lost Redis counts for itself."""
    links = [RedisLink(redis_server.url) for _ in range(2)]
    first, second = (ClientLimits(RedisCounters(link, "t")) for link in links)
    some = client(runs_per_second=0.01)
    await first.admit(some)
    with pytest.raises(LimitReached):
        await second.admit(some)
    redis_server.kill()
    await second.admit(some)

    with pytest.raises(LimitReached):
        await second.admit(some)
    for link in links:
        await link.close()


@pytest.fixture
async def pair(redis_server: RedisServer) -> AsyncIterator[list[ClientLimits]]:
    """The limits of two replicas, which have what is open at once in common."""
    links = [RedisLink(redis_server.url) for _ in range(2)]
    both = [ClientLimits(places=HeldPlaces(RedisPlaces(link, "t"))) for link in links]
    for limits in both:
        limits.start()
    yield both
    for limits, link in zip(both, links, strict=True):
        await limits.close()
        await link.close()


async def test_replicas_count_runs_at_once_together(pair: list[ClientLimits]) -> None:
    """What one of them has begun is no place at the other; a refusal there takes none here."""
    ours, theirs = pair
    some = client(concurrent_runs=2)
    first, _ = [await begin(ours, some) for _ in range(2)]
    with pytest.raises(TooManyRuns, match="your key"):
        await begin(theirs, some)
    first.leave()

    await soon(lambda: begin(theirs, some))
    with pytest.raises(TooManyRuns):
        await begin(theirs, some)


async def test_replicas_count_sockets_together(pair: list[ClientLimits]) -> None:
    """What one of them has open is no place at the other; a refusal there takes none here."""
    ours, theirs = pair
    some = client(sockets=1)
    async with ours.socket(some):
        with pytest.raises(LimitReached, match="1 sockets"):
            await opened(theirs, some)

    await soon(lambda: opened(theirs, some))


async def test_without_redis_each_replica_counts_alone_what_is_open(
    pair: list[ClientLimits], redis_server: RedisServer
) -> None:
    """Its own limit holds."""
    some = client(concurrent_runs=1, sockets=1)
    redis_server.kill()
    for limits in pair:
        await begin(limits, some)
        with pytest.raises(TooManyRuns):
            await begin(limits, some)
        async with limits.socket(some):
            with pytest.raises(LimitReached):
                await opened(limits, some)
