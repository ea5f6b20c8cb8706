"""Questions to other replicas."""

import asyncio
from typing import Any

import pytest

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.post import SILENT_SECONDS, Post
from llm_stream.engine.redislog.records import Keys

from ...redisserver import RedisServer
from ...standin import OTHER, other_replica
from ...wire import until
from ..conftest import Clock

KEYS = Keys("llm-stream")


@pytest.fixture
async def post(redis_server: RedisServer, clock: Clock) -> Any:
    """The post of a replica, by the test's clock."""
    link = RedisLink(redis_server.url)
    post = Post(link, KEYS, "r_1", clock)
    listens = asyncio.Event()
    link.on_listening = listens.set
    tasks = [asyncio.create_task(post.deliver()), asyncio.create_task(post.listen())]
    await listens.wait()
    yield post
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await link.close()


async def test_who_did_not_answer_is_not_asked_for_a_while(
    post: Post, redis_server: RedisServer, clock: Clock
) -> None:
    """One silence costs one wait, however many questions there are; then it is asked again."""
    assert await post.ask(OTHER, "join") is None
    async with other_replica(redis_server, join={"run": "run_1"}) as heard:
        assert await post.ask(OTHER, "join") is None
        post.tell(OTHER, "leave")
        await until(lambda: heard)
        assert [message["do"] for message in heard] == ["leave"]

        clock.now += SILENT_SECONDS
        answer = await post.ask(OTHER, "join")

    assert answer is not None
    assert answer["run"] == "run_1"
