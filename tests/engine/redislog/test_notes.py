"""Notes of runs, as any replica reads them."""

import asyncio

import pytest

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.notes import RedisNotes
from llm_stream.engine.redislog.post import Post
from llm_stream.engine.redislog.records import Keys
from llm_stream.errors import LogUnavailable

from ...redisserver import RedisServer

KEYS = Keys("test")


async def test_a_note_is_read_elsewhere_for_its_time(link: RedisLink) -> None:
    """And only that of its own run."""
    ours, theirs = (Post(link, KEYS, name) for name in ("r_1", "r_2"))
    deliver = asyncio.create_task(ours.deliver())
    RedisNotes(link, KEYS, ours, 60_000).note("run_1", b"asked")
    notes = RedisNotes(link, KEYS, theirs, 60_000)
    while (found := await notes.read("run_1")) is None:
        await asyncio.sleep(0)
    (left,) = await link.ask([("PTTL", KEYS.note("run_1"))])
    deliver.cancel()
    await asyncio.gather(deliver, return_exceptions=True)

    assert found == b"asked"
    assert 0 < left <= 60_000
    assert await notes.read("run_2") is None


async def test_without_redis_nobody_can_tell(link: RedisLink, redis_server: RedisServer) -> None:
    """That is no answer of none."""
    redis_server.kill()
    with pytest.raises(LogUnavailable):
        await RedisNotes(link, KEYS, Post(link, KEYS, "r_1"), 60_000).read("run_1")
