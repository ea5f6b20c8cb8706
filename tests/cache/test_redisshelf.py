"""The shelf in Redis: its memory is given back, its faults are bounded and short."""

import asyncio
from pathlib import Path

import pytest
import redis

from llm_stream.cache.answers import AnswerCache
from llm_stream.cache.redisshelf import CALL_SECONDS, REST_SECONDS, RedisShelf
from llm_stream.errors import CacheUnavailable

from ..engine.conftest import Clock
from ..redisserver import RedisServer
from .conftest import MakeEntry, recording
from .test_shelf import marks, put, read


async def test_void_entries_leave_redis(
    redis_shelf: RedisShelf, redis_server: RedisServer, make_entry: MakeEntry
) -> None:
    """After an invalidation nothing of its entries is left but the generation."""
    for number in range(1200):
        await put(redis_shelf, make_entry, f"k{number}", "/all:", f"/tag:{number % 3}")

    assert await redis_shelf.bump("/all:") == 1200

    await redis_shelf.close()
    with redis.Redis(port=redis_server.port) as client:
        assert client.keys() == [b"t:g:/all:"]


async def test_expired_entries_are_not_counted(
    redis_shelf: RedisShelf, redis_server: RedisServer, make_entry: MakeEntry
) -> None:
    """What has expired is on no count, and the next entry of the name takes it off the lists."""
    await redis_shelf.write("a", make_entry("a", await marks(redis_shelf, "/x")), 0.001)
    while await redis_shelf.count("/x"):
        pass  # it has a millisecond to live

    await put(redis_shelf, make_entry, "b", "/x")

    with redis.Redis(port=redis_server.port) as client:
        assert client.zrange("t:a:/x", 0, -1) == [b"b"]


async def test_another_replica_sees_the_same(
    redis_shelf: RedisShelf, redis_server: RedisServer, make_entry: MakeEntry
) -> None:
    """What one shelf keeps another finds, and what one voids is void for the other."""
    other = RedisShelf(redis_server.url, prefix="t", observe=lambda _seconds: None)
    await put(redis_shelf, make_entry, "a", "/tag:x")
    assert await read(other, "a") is not None

    assert await other.bump("/tag:x") == 1

    assert await read(redis_shelf, "a") is None
    await other.close()


async def test_generations_only_grow(redis_shelf: RedisShelf, redis_server: RedisServer) -> None:
    """Each is greater than those before, also when Redis has lost them meanwhile."""
    seen = []
    for _ in range(3):
        await redis_shelf.bump("/x")
        seen.append((await marks(redis_shelf, "/x"))["/x"])
    with redis.Redis(port=redis_server.port) as client:
        client.flushall()
    await redis_shelf.bump("/x")
    seen.append((await marks(redis_shelf, "/x"))["/x"])

    assert seen == sorted(set(seen))


async def test_foreign_bytes_are_no_entry(
    redis_shelf: RedisShelf, redis_server: RedisServer
) -> None:
    """Whatever else stands under a key is a miss."""
    with redis.Redis(port=redis_server.port) as client:
        client.set("t:e:a", b"\x80\x04pickle")

    assert await read(redis_shelf, "a") is None


async def test_a_redis_that_is_gone_is_left_alone_for_a_moment(
    redis_server: RedisServer,
) -> None:
    """The first call fails, further ones fail without a call, until the rest is over."""
    clock, calls = Clock(), list[float]()
    shelf = RedisShelf(redis_server.url, prefix="t", observe=calls.append, clock=clock)
    redis_server.kill()
    for _ in range(3):
        with pytest.raises(CacheUnavailable):
            await read(shelf, "a")
    assert (len(calls), shelf.resting) == (1, True)
    redis_server.start()
    clock.now += REST_SECONDS

    assert await read(shelf, "a") is None
    assert not shelf.resting
    await shelf.close()


@pytest.mark.redis_limit
async def test_a_redis_that_hangs_costs_a_quarter_second(redis_server: RedisServer) -> None:
    """A call to a server that does not answer is given up."""
    seconds = list[float]()
    shelf = RedisShelf(redis_server.url, prefix="t", observe=seconds.append)
    with redis_server.frozen(), pytest.raises(CacheUnavailable):
        await read(shelf, "a")

    assert CALL_SECONDS * 0.9 <= seconds[0] < CALL_SECONDS * 4
    await shelf.close()


async def test_a_crowd_waits_for_connections(
    redis_shelf: RedisShelf, make_entry: MakeEntry
) -> None:
    """More calls at once than connections are all answered, and nobody takes Redis for dead."""
    await put(redis_shelf, make_entry, "a", "/all:")

    found = await asyncio.gather(*[read(redis_shelf, "a") for _ in range(400)])

    assert None not in found
    assert not redis_shelf.resting


async def test_connections_that_a_restart_has_closed_are_made_anew(tmp_path: Path) -> None:
    """After a restart the first call on every pooled connection is answered."""
    server = RedisServer(tmp_path)
    server.start()
    shelf = RedisShelf(server.url, prefix="t", observe=lambda _seconds: None)
    await asyncio.gather(*[read(shelf, "a") for _ in range(20)])
    server.kill()
    server.start()

    for _ in range(20):
        assert await read(shelf, "a") is None

    await shelf.close()
    server.kill()


async def test_a_refusal_is_no_reason_to_rest(
    redis_shelf: RedisShelf, redis_server: RedisServer, make_entry: MakeEntry
) -> None:
    """A Redis that answers with an error did answer: other calls go on."""
    with redis.Redis(port=redis_server.port) as client:
        client.lpush("t:a:/all:", "not a sorted set")
    with pytest.raises(CacheUnavailable, match="refused"):
        await redis_shelf.page("/all:", limit=1)

    assert not redis_shelf.resting
    assert await read(redis_shelf, "a") is None


async def test_a_sweep_leaves_what_was_computed_anew(
    redis_shelf: RedisShelf, make_entry: MakeEntry
) -> None:
    """An answer kept after the invalidation survives the giving back of memory."""
    await put(redis_shelf, make_entry, "a", "/all:")
    await redis_shelf.bump("/all:")
    again = make_entry(
        "a", await marks(redis_shelf, "/all:"), recording=recording("a", run="run_2")
    )
    await redis_shelf.write("a", again, 60)

    await redis_shelf.swept()

    assert await read(redis_shelf, "a") is not None
    assert await redis_shelf.count("/all:") == 1


async def test_expired_keys_do_not_stand_in_the_way(
    redis_shelf: RedisShelf, make_entry: MakeEntry
) -> None:
    """Dropping by age goes past entries that have expired meanwhile."""
    cache = AnswerCache(redis_shelf, ttl_seconds=60)
    generations = await marks(redis_shelf, "/x")
    for number in range(30):
        entry = make_entry(f"k{number}", generations, stored_at=1e9 + number)
        await redis_shelf.write(f"k{number}", entry, 0.001 if number < 25 else 60)
    while await redis_shelf.count("/x") > 5:
        pass  # they have a millisecond to live

    assert await cache.invalidate("/x", older_than_seconds=10) == 5
    assert await redis_shelf.older("/x", 10, limit=50) == []


async def test_lists_go_with_their_entries(
    redis_shelf: RedisShelf, redis_server: RedisServer, make_entry: MakeEntry
) -> None:
    """A name's lists live a little longer than its longest entry, not for ever."""
    await redis_shelf.write("a", make_entry("a", await marks(redis_shelf, "/x")), 100)
    await redis_shelf.write("b", make_entry("b", await marks(redis_shelf, "/x")), 10)

    with redis.Redis(port=redis_server.port) as client:
        assert 100 <= client.ttl("t:a:/x") <= 161
        assert 100 <= client.ttl("t:x:/x") <= 161
