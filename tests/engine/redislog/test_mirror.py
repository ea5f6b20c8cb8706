"""The owner's side: what comes to Redis of each run, whatever Redis makes of another one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

from llm_stream.engine.chapters import NOWHERE
from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.mirror import LogMirror
from llm_stream.engine.redislog.records import (
    Keys,
    Record,
    events_of,
    read_events,
    write_facts,
)
from llm_stream.engine.redislog.succession import relay
from llm_stream.engine.run import Run
from llm_stream.events import encoded, kind_of, position_of

from ...redisserver import RedisServer
from ..conftest import MakeRun, describe, say
from ..test_run import finished

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
        return [position_of(event) for event in events_of(reply)]

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
    event = encoded(int(epoch), int(seq), run.id, 0, {"type": "text.delta", "text": "x"})
    client.xadd(KEYS.log(run.id), {"t": kind_of(event), "d": event}, id=place)


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


async def test_a_run_that_redis_refuses_keeps_no_other(
    owner: Owner, client: Any, make_run: MakeRun
) -> None:
    """Where a run's name is taken by something else, that run is set aside, others are written."""
    client.set(KEYS.log("run_1"), "not a log")
    client.set(KEYS.facts("run_2"), "no facts")
    runs = [make_run(f"run_{number}") for number in range(1, 5)]
    for run in runs[:3]:
        owner.mirror.add(run)
    await owner.mirror.catch_up()
    owner.mirror.check(runs)
    await owner.mirror.catch_up()

    assert [await owner.log_of(f"run_{number}") for number in (3, 4)] == [["1-1"], ["1-1"]]
    assert owner.mirror.behind == 0
    assert owner.mirror.refusing == ""
    assert owner.mirror.refusals >= 2


@pytest.mark.parametrize("forbidden", ["hset", "sadd"])
@pytest.mark.parametrize("ended", [False, True])
async def test_facts_that_were_refused_are_written_later(
    owner: Owner, client: Any, make_run: MakeRun, forbidden: str, ended: bool
) -> None:
    """A run whose events came through and whose facts did not is described at the next chance."""
    run = make_run("run_1")
    client.execute_command("ACL", "SETUSER", "default", f"-{forbidden}")
    owner.mirror.keep_spec("run_1", b"a spec")
    owner.mirror.add(run)
    await owner.mirror.catch_up()
    assert owner.mirror.refusing
    if ended:
        run.start(say("x"))
        await finished(run)
    client.execute_command("ACL", "SETUSER", "default", f"+{forbidden}")
    while owner.mirror.behind:
        await owner.mirror.catch_up()
    record = await owner.record_of("run_1")

    assert record is not None
    assert (record.info, record.replica) == (run.info, "r_1")
    assert (record.state, record.spec) == (("completed", b"") if ended else ("running", b"a spec"))
    assert client.smembers(KEYS.working("r_1")) == (set() if ended else {b"run_1"})
    assert await owner.log_of("run_1") == [position_of(event) for event in run.events()]


async def test_an_end_without_facts_gets_them(owner: Owner, client: Any, make_run: MakeRun) -> None:
    """A run whose whole log is in Redis, and whose facts are lost, is described with its end."""
    run = make_run("run_1")
    owner.mirror.add(run)
    run.start(say("x"))
    await finished(run)
    await owner.mirror.catch_up()
    client.delete(KEYS.facts("run_1"))
    owner.mirror.check([run])
    await owner.mirror.catch_up()
    record = await owner.record_of("run_1")

    assert record is not None
    assert record.state == "completed"
    assert client.smembers(KEYS.working("r_1")) == set()
    assert 0 < client.pttl(KEYS.log("run_1")) <= 60_000


async def test_an_old_owner_describes_nothing(owner: Owner, make_run: MakeRun) -> None:
    """Facts of an older epoch change none of a newer one."""
    info = make_run("run_1").info
    new = Record(info, "r_2", 2, "running", {}, b"new")
    await owner.link.ask(write_facts(KEYS, new))
    await owner.link.ask(write_facts(KEYS, Record(info, "r_1", 1, "running", {}, b"old")))

    assert await owner.record_of("run_1") == new


async def test_a_run_that_came_back_is_mirrored_anew(owner: Owner, make_run: MakeRun) -> None:
    """Of two runs with one id the newer one is written; readers of the older one see it too."""
    old = make_run("run_1")
    owner.mirror.add(old)
    await owner.mirror.catch_up()
    old.hand_over()
    taken = encoded(2, 1, "run_1", 0, {"type": "run.restarted", "reason": "owner_lost"})
    log = EventLog("run_1", max_bytes=10_000, epoch=2, earlier=[*old.events(), taken])
    new = Run(old.info, max_log_bytes=0, describe_error=describe, log=log)
    relay(new, old)
    owner.mirror.add(new)
    new.start(say("x"))
    await finished(new)
    await owner.mirror.catch_up()

    assert [kind_of(e) for e in new.events()][-2:] == ["text.delta", "run.completed"]
    assert await owner.log_of("run_1") == [position_of(event) for event in new.events()]
    assert old.events() == new.events()
    assert old.done
