"""Calls to Redis: bounded, refused at once while it is away, and a listener that comes back."""

import asyncio
import math
from typing import Any

import pytest
from redis.exceptions import ResponseError

from llm_stream.engine.redislog.link import BREAK_SECONDS, CALLS_AT_ONCE, RedisLink
from llm_stream.errors import LogUnavailable

from ...redisserver import RedisServer
from ..conftest import Clock


@pytest.fixture
async def link(redis_server: RedisServer, clock: Clock) -> Any:
    """A way to a real Redis; its breaker goes by the test's clock."""
    link = RedisLink(redis_server.url, clock=clock)
    yield link
    await link.close()


async def test_replies_come_in_order_and_refusals_in_their_places(link: RedisLink) -> None:
    """One refused command spoils no other; `ask` takes none."""
    commands = [("SET", "a", "1"), ("INCR", "a"), ("LPUSH", "a", "x"), ("GET", "a")]
    replies = await link.send(commands)

    assert [replies[0], replies[1], replies[3]] == [True, 2, b"2"]
    assert isinstance(replies[2], ResponseError)
    with pytest.raises(LogUnavailable):
        await link.ask(commands)
    assert not link.broken


async def test_a_key_of_another_type_is_no_reply(link: RedisLink) -> None:
    """`ask_each` leaves that one out, and takes no other refusal."""
    commands = [("SET", "a", "1"), ("LPUSH", "a", "x"), ("GET", "a")]
    assert await link.ask_each(commands) == [True, None, b"1"]

    with pytest.raises(LogUnavailable):
        await link.ask_each([*commands, ("NOSUCH", "a")])


async def test_a_dead_redis_is_asked_once_a_second(
    link: RedisLink, redis_server: RedisServer, clock: Clock
) -> None:
    """After one failure calls fail without a try; a second later one tries again."""
    tried: list[float] = []
    link.on_call = tried.append
    redis_server.kill()
    for _ in range(5):
        with pytest.raises(LogUnavailable):
            await link.send([("PING",)])
    assert (len(tried), link.broken, link.back_seconds) == (1, True, math.inf)
    clock.now += BREAK_SECONDS
    with pytest.raises(LogUnavailable):
        await link.send([("PING",)])
    assert len(tried) == 2
    redis_server.start()
    clock.now += BREAK_SECONDS

    assert await link.send([("ECHO", "x")]) == [b"x"]
    clock.now += 7
    assert not link.broken
    assert link.back_seconds == 7


async def test_no_call_is_sent_by_a_connection_that_was_closed_meanwhile(
    link: RedisLink, redis_server: RedisServer, clock: Clock
) -> None:
    """Once Redis is back, it is for all calls, whatever connections were kept from before."""
    await asyncio.gather(*(link.send([("PING",)]) for _ in range(CALLS_AT_ONCE)))
    redis_server.kill()
    with pytest.raises(LogUnavailable):
        await link.send([("PING",)])
    redis_server.start()
    clock.now += BREAK_SECONDS
    await link.send([("PING",)])

    assert await asyncio.gather(*(link.send([("PING",)]) for _ in range(CALLS_AT_ONCE)))
    assert link.failures == 1


async def test_a_burst_waits_for_connections(link: RedisLink) -> None:
    """A thousand calls at once are answered by a few connections."""
    replies = await asyncio.gather(*(link.send([("INCR", "n")]) for _ in range(1000)))
    (clients,) = await link.send([("CLIENT", "LIST")])

    assert sorted(reply for (reply,) in replies) == list(range(1, 1001))
    assert len(clients if isinstance(clients, list) else clients.splitlines()) <= 16


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_a_listener_outlives_its_connection(redis_server: RedisServer, kind: str) -> None:
    """What is published is heard; after a lost connection it listens again."""
    path = redis_server.folder / "redis.sock"
    redis_server.kill()
    redis_server.start("--unixsocket", str(path))
    link = RedisLink(redis_server.url if kind == "tcp" else f"unix://{path}")
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    listens = asyncio.Event()
    link.on_listening = listens.set

    async def listen() -> None:
        async for message in link.messages("inbox"):
            heard.put_nowait(message)

    task = asyncio.create_task(listen())
    for word in (b"one", b"two"):
        await listens.wait()
        await link.send([("PUBLISH", "inbox", word)])
        assert await heard.get() == word
        listens.clear()
        await link.send([("CLIENT", "KILL", "TYPE", "pubsub")])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await link.close()

    assert heard.empty()


@pytest.mark.slow
async def test_a_cancel_ends_a_listener_that_connects_again(redis_server: RedisServer) -> None:
    """At whatever step of making its new connection the listener is, a cancel ends it."""
    link = RedisLink(redis_server.url)
    listens = asyncio.Event()
    link.on_listening = listens.set

    async def listen() -> None:
        async for _message in link.messages("inbox"):
            pass

    for turns in range(40):
        listens.clear()
        task = asyncio.create_task(listen())
        await listens.wait()
        await link.send([("CLIENT", "KILL", "TYPE", "pubsub")])
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert task.cancelled(), turns
    await link.close()
