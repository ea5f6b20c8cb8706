"""Another replica as the others see it: a name in Redis, and answers that the test gives."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import redis

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.post import Handler, Message, Post
from llm_stream.engine.redislog.records import Keys

from .redisserver import RedisServer

KEYS = Keys("llm-stream")
OTHER = "r_other"


@asynccontextmanager
async def other_replica(
    server: RedisServer, **answers: Message | None
) -> AsyncIterator[list[Message]]:
    """A replica with a sign of life; what it hears. It answers `{}` where it has no answer."""
    heard: list[Message] = []

    def handler(answer: Message | None) -> Handler:
        def hear(message: Message) -> Message | None:
            heard.append(message)
            return answer

        return hear

    link = RedisLink(server.url)
    post = Post(link, KEYS, OTHER)
    post.handlers = {
        do: handler(answers.get(do)) for do in ("release", "follow", "leave", "join", "forget")
    }
    tasks = [asyncio.create_task(post.listen()), asyncio.create_task(post.deliver())]
    with redis.Redis(port=server.port) as client:
        client.set(KEYS.alive(OTHER), "1")
        await until(lambda: client.pubsub_numsub(KEYS.inbox(OTHER))[0][1])
    try:
        yield heard
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await link.close()


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what another process does."""
    while not condition():
        await asyncio.sleep(0.01)  # another process' doing is not an event here
