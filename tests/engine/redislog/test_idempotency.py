"""Idempotency keys that replicas share: one of them starts the run."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from llm_stream.engine.redislog.idempotency import RedisIdempotency
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.post import Post
from llm_stream.engine.redislog.records import Keys
from llm_stream.errors import IdempotencyConflict

from ...redisserver import RedisServer
from ...wire import until

KEYS = Keys("test")
BODY, OTHER_BODY = "a" * 64, "b" * 64

Pair = tuple[RedisIdempotency, RedisIdempotency]


@pytest.fixture
async def pair(link: RedisLink) -> AsyncIterator[Pair]:
    """What two replicas know."""
    posts = [Post(link, KEYS, name) for name in ("r_1", "r_2")]
    tasks = [asyncio.create_task(post.deliver()) for post in posts]
    ours, theirs = (RedisIdempotency(link, KEYS, post, 60_000) for post in posts)
    yield ours, theirs
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def settled(key: RedisIdempotency, run: str) -> None:
    """The key `k` starts this run."""
    _, claim = await key.claim("k", BODY, "")
    key.began("k", claim, run)


async def waiting_for(key: RedisIdempotency, link: RedisLink) -> asyncio.Task[tuple[str, str]]:
    """A call that has found the claim of another, and asks again and again."""
    asked: list[float] = []
    link.on_call = asked.append
    task = asyncio.create_task(key.claim("k", BODY, ""))
    await until(lambda: len(asked) > 1)
    return task


async def test_the_second_waits_for_the_run_of_the_first(pair: Pair, link: RedisLink) -> None:
    """A claim lets nobody else start; what was started is known to all."""
    ours, theirs = pair
    run, claim = await ours.claim("k", BODY, "")
    waiting = await waiting_for(theirs, link)
    assert (run, waiting.done()) == ("", False)

    ours.began("k", claim, "run_1")

    assert await waiting == ("run_1", "")
    assert await ours.claim("k", BODY, "") == ("run_1", "")


async def test_another_body_conflicts(pair: Pair) -> None:
    """While the run is being started, and when it has been."""
    ours, theirs = pair
    _, claim = await ours.claim("k", BODY, "")
    with pytest.raises(IdempotencyConflict):
        await theirs.claim("k", OTHER_BODY, "")
    ours.began("k", claim, "run_1")

    with pytest.raises(IdempotencyConflict):
        await theirs.claim("k", OTHER_BODY, "")
    assert await theirs.claim("k", BODY, "") == ("run_1", "")


async def test_a_claim_that_is_given_back_is_taken(pair: Pair) -> None:
    """By whoever waits, or comes next."""
    ours, theirs = pair
    _, claim = await ours.claim("k", BODY, "")
    ours.free("k", claim)

    run, taken = await theirs.claim("k", BODY, "")

    assert run == ""
    assert taken != claim


async def test_a_claim_of_the_dead_runs_out(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then another replica starts the run; what the first says after all changes nothing."""
    ours, theirs = pair
    monkeypatch.setattr("llm_stream.engine.redislog.idempotency.CLAIM_MS", 50)
    _, late = await ours.claim("k", BODY, "")
    monkeypatch.undo()

    run, claim = await theirs.claim("k", BODY, "")
    ours.began("k", late, "run_late")
    ours.free("k", late)
    theirs.began("k", claim, "run_1")

    assert run == ""
    assert await ours.claim("k", BODY, "") == ("run_1", "")


async def test_a_run_that_is_gone_is_replaced_once(pair: Pair) -> None:
    """Of two replicas that do not find it, one starts the next, and the other gets that."""
    ours, theirs = pair
    await settled(ours, "run_1")
    assert await theirs.claim("k", BODY, "") == ("run_1", "")
    run, claim = await ours.claim("k", BODY, "run_1")
    ours.began("k", claim, "run_2")

    assert run == ""
    assert await theirs.claim("k", BODY, "run_1") == ("run_2", "")


async def test_who_leaves_while_waiting_has_claimed_nothing(pair: Pair, link: RedisLink) -> None:
    """A cancelled question holds up nobody."""
    ours, theirs = pair
    _, claim = await ours.claim("k", BODY, "")
    waiting = await waiting_for(theirs, link)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    ours.began("k", claim, "run_1")

    assert await theirs.claim("k", BODY, "") == ("run_1", "")


async def test_redis_forgets_keys(pair: Pair, link: RedisLink) -> None:
    """A claim within ten seconds, a run with the run's own time."""
    ours, theirs = pair
    _, claim = await ours.claim("k", BODY, "")
    (claimed,) = await link.ask([("PTTL", KEYS.idempotency("k"))])
    ours.began("k", claim, "run_1")
    await theirs.claim("k", BODY, "")
    (started,) = await link.ask([("PTTL", KEYS.idempotency("k"))])

    assert 0 < claimed <= 10_000 < started <= 60_000


async def test_what_is_no_key_of_ours_is_another_body(pair: Pair, link: RedisLink) -> None:
    """Whatever else stands there is never taken for a run."""
    for value in ("", "\xff", BODY[:-1], "x" * 100):
        await link.ask([("SET", KEYS.idempotency("k"), value)])
        with pytest.raises(IdempotencyConflict):
            await pair[0].claim("k", BODY, "")


async def test_without_redis_each_replica_works_for_itself(
    pair: Pair, redis_server: RedisServer
) -> None:
    """Both may start; nobody waits."""
    redis_server.kill()

    for replica in pair:
        run, claim = await replica.claim("k", BODY, "")
        replica.began("k", claim, "run_1")
        assert run == ""
