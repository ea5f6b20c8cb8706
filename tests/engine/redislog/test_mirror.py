"""The owner's side: what comes to Redis of each run, whatever Redis makes of another one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

from llm_stream.engine.chapters import NOWHERE
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.mirror import LogMirror
from llm_stream.engine.redislog.records import Keys, Record, events_of, read_events
from llm_stream.engine.run import Run
from llm_stream.events import Event

from ...redisserver import RedisServer
from ..conftest import MakeRun

KEYS = Keys("test")


class Owner:
    """A mirror at work, and what it says."""

    def __init__(self, link: RedisLink) -> None:
        self.superseded: list[str] = []
        self.link = link
        self.mirror = LogMirror(
            link, KEYS, "r_1", retention_ms=60_000, audience=lambda _run: (),
            superseded=self._lose, at_end=lambda _run: [],
        )  # fmt: skip

    def _lose(self, run: Run) -> None:
        self.superseded.append(run.id)
        run.hand_over()

    async def log_of(self, run: str) -> list[str]:
        """Cursors of what Redis has."""
        (reply,) = await self.link.ask([read_events(KEYS, run, NOWHERE)])
        return [event.position for event in events_of(reply)]

    async def record_of(self, run: str) -> Record | None:
        """What Redis knows of the run."""
        (reply,) = await self.link.ask([("HGETALL", KEYS.facts(run))])
        return Record.read(reply)


@pytest.fixture
async def owner(redis_server: RedisServer) -> AsyncIterator[Owner]:
    """Writes to a real Redis."""
    link = RedisLink(redis_server.url)
    owner = Owner(link)
    task = asyncio.create_task(owner.mirror.work())
    yield owner
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await link.close()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    """Somebody else at this Redis."""
    with redis.Redis(port=redis_server.port) as client:
        yield client


def write(client: Any, run: Run, place: str) -> None:
    """What another replica writes into the run's log."""
    epoch, _, seq = place.partition("-")
    event = Event(int(epoch), int(seq), run.id, 0, {"type": "text.delta", "text": "x"})
    client.xadd(KEYS.log(run.id), {"t": event.type, "d": event.data}, id=place)


async def test_a_run_that_was_handed_over_is_no_longer_written(
    owner: Owner, client: Any, make_run: MakeRun
) -> None:
    """Looking at all runs again leaves out what another replica writes, and others go on."""
    lost, other = make_run("run_1"), make_run("run_2")
    owner.mirror.add(lost)
    await owner.mirror.catch_up()
    write(client, lost, "2-1")
    owner.mirror.check([lost])
    await owner.mirror.catch_up()
    write(client, lost, "2-2")
    owner.mirror.check([lost])
    owner.mirror.add(other)
    await owner.mirror.catch_up()

    assert owner.superseded == ["run_1"]
    assert await owner.log_of("run_1") == ["1-1", "2-1", "2-2"]
    assert await owner.log_of("run_2") == ["1-1"]
    assert owner.mirror.behind == 0


async def test_a_place_that_was_never_issued_here_is_another_owners(
    owner: Owner, client: Any, make_run: MakeRun
) -> None:
    """A log that is further in Redis than here is not ours any more; other logs are written."""
    lost, other = make_run("run_1"), make_run("run_2")
    write(client, lost, "1-9")
    owner.mirror.check([lost, other])
    await owner.mirror.catch_up()

    assert owner.superseded == ["run_1"]
    assert await owner.log_of("run_2") == ["1-1"]
