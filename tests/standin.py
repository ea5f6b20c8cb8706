"""Another replica as the others see it: a name in Redis, and answers that the test gives."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.post import Handler, Message, Post
from llm_stream.engine.redislog.records import Keys, Record, write_events, write_facts
from llm_stream.engine.runinfo import RunInfo
from llm_stream.events import Event, encoded, kind_of, position_of
from llm_stream.payloads import Payload
from llm_stream.recipes.spec import RunSpec, dump_spec

from .redisserver import RedisServer

KEYS = Keys("llm-stream")
OTHER = "r_other"
RUN = "run_01KAQ8Z3M5XW2T9V7B4C6D8E0F"


def of_another(
    server: RedisServer, spec: RunSpec | None = None, *, lives: bool = True, run: str = RUN
) -> None:
    """Put a live run of another replica into Redis; the replica has a sign of life if it lives."""
    key = "k" if spec is None else spec.fingerprint()
    info = RunInfo(id=run, recipe="generate", model="scripted", key=key, created_at=time.time())
    first = encoded(1, 1, run, 0, info.started())
    record = Record(info, OTHER, 1, "running", {}, b"" if spec is None else dump_spec(spec))
    with redis.Redis(port=server.port) as client:
        client.sadd(KEYS.replicas, OTHER)
        if lives:
            client.set(KEYS.alive(OTHER), "1")
        for command in [*write_events(KEYS, run, [first]), *write_facts(KEYS, record)]:
            client.execute_command(*command)


def took_over(server: RedisServer, run: str, payload: Payload, **facts: str) -> Event:
    """The other replica has taken a run over and said this as the first event of epoch 2."""
    event = encoded(2, 1, run, 5, payload)
    with redis.Redis(port=server.port) as client:
        client.xadd(KEYS.log(run), {"t": kind_of(event), "d": event}, id=position_of(event))
        client.hset(KEYS.facts(run), mapping={"replica": OTHER, "epoch": "2", **facts})
    return event


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
    await link.ask([("SET", KEYS.alive(OTHER), "1")])
    listens = asyncio.Event()
    link.on_listening = listens.set
    tasks = [asyncio.create_task(post.listen()), asyncio.create_task(post.deliver())]
    await listens.wait()
    try:
        yield heard
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await link.close()
