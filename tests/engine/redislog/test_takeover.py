"""Who is lost, who is not, and who takes over."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from llm_stream.engine.chapters import NOWHERE
from llm_stream.engine.redislog.link import BREAK_SECONDS, CALL_SECONDS, RedisLink
from llm_stream.engine.redislog.records import (
    TOMBSTONE_MS,
    Keys,
    Record,
    events_of,
    read_events,
    write_events,
    write_facts,
)
from llm_stream.engine.redislog.takeover import RESTARTS, Watch, confirm_seconds
from llm_stream.engine.runinfo import RunInfo
from llm_stream.errors import LogUnavailable
from llm_stream.events import Event, decoded, encoded, kind_of, position_of, t_ms_of

from ...redisserver import RedisServer
from ..conftest import Clock, describe

KEYS = Keys("test")
INFO = RunInfo(id="run_1", recipe="generate", model="m", key="k")


@pytest.fixture
async def link(redis_server: RedisServer) -> Any:
    """A way to a real Redis, in which `r_dead` works on a run of one event."""
    link = RedisLink(redis_server.url)
    first = encoded(1, 1, INFO.id, 0, INFO.started())
    record = Record(INFO, "r_dead", 1, "running", {}, b"")
    await link.ask([*write_events(KEYS, INFO.id, [first]), *write_facts(KEYS, record)])
    await link.ask([("SADD", KEYS.replicas, "r_dead")])
    yield link
    await link.close()


def watch(link: RedisLink, name: str, clock: Clock, taken: list[Any], **changes: Any) -> Watch:
    """A replica's eye on the others; it waits 5 seconds before it believes."""

    async def on_taken(record: Record) -> None:
        taken.append((name, record))

    parts: dict[str, Any] = {
        "policy": "fail", "works_on": lambda _run: False, "on_taken": on_taken, **changes,
    }  # fmt: skip
    return Watch(
        link, KEYS, name, confirm_seconds=5, retention_ms=60_000,
        describe_error=describe, followed=list, clock=clock, **parts,
    )  # fmt: skip


async def log_of(link: RedisLink) -> list[Event]:
    """What Redis has of the run."""
    (reply,) = await link.ask([read_events(KEYS, INFO.id, NOWHERE)])
    return events_of(reply)


async def test_one_of_many_takers_wins(link: RedisLink, clock: Clock) -> None:
    """Ten replicas that see the same loss at once write one end."""
    taken: list[Any] = []
    eyes = [watch(link, f"r_{number}", clock, taken) for number in range(10)]
    await asyncio.gather(*(eye.look() for eye in eyes))
    assert taken == []
    clock.now += 5
    await asyncio.gather(*(eye.look() for eye in eyes))

    assert len(taken) == 1
    assert [position_of(event) for event in await log_of(link)] == ["1-1", "2-1"]
    assert decoded((await log_of(link))[-1])["error"]["code"] == "owner_lost"
    assert sum(eye.taken for eye in eyes) == 1


async def test_the_old_owner_is_refused(link: RedisLink, clock: Clock) -> None:
    """After a takeover Redis takes no event of the old epoch."""
    eye = watch(link, "r_1", clock, [])
    await eye.look()
    clock.now += 5
    await eye.look()
    late = encoded(1, 2, INFO.id, 0, {"type": "text.delta", "text": "x"})
    (reply,) = await link.send(write_events(KEYS, INFO.id, [late]))

    assert "equal or smaller" in str(reply)


@pytest.mark.parametrize("how", ["renewed", "redis was away"])
async def test_who_comes_back_in_time_is_not_lost(link: RedisLink, clock: Clock, how: str) -> None:
    """A sign of life that was lost - a clock jumped, Redis restarted - and renewed loses no run."""
    taken: list[Any] = []
    eye = watch(link, "r_1", clock, taken)
    await eye.look()
    clock.now += 4
    if how == "renewed":
        await link.ask([("SET", KEYS.alive("r_dead"), "1", "PX", 60_000)])
        await eye.look()
        await link.ask([("DEL", KEYS.alive("r_dead"))])
    else:
        eye.forget()
    clock.now += 4
    await eye.look()

    assert taken == []
    assert len(await log_of(link)) == 1


@pytest.mark.parametrize("lost_seconds", [1, 2, 4, 5, 8, 15, 20])
def test_a_heartbeat_that_waits_for_the_breaker_comes_in_time(lost_seconds: float) -> None:
    """One call fails, the next has to wait, and the one after it is heard before the wait is over.

    A sign lasts half of the time; a heartbeat comes twelve times in it.
    """
    pulse = lost_seconds / 12
    silent = pulse + CALL_SECONDS + BREAK_SECONDS + pulse + CALL_SECONDS

    assert lost_seconds / 2 + confirm_seconds(lost_seconds) > silent


async def test_ended_runs_are_left_alone(link: RedisLink, clock: Clock) -> None:
    """A lost replica's run that has its end gets no other one."""
    await link.ask([("HSET", KEYS.facts(INFO.id), "state", "completed")])
    eye = watch(link, "r_1", clock, [])
    await eye.look()
    clock.now += 5
    await eye.look()

    assert len(await log_of(link)) == 1
    (known,) = await link.ask([("SMEMBERS", KEYS.replicas)])
    assert known == set()


async def test_what_was_asked_does_not_stay(link: RedisLink, clock: Clock) -> None:
    """A run that is ended is known for as long as any that has ended, and its request is not."""
    await link.ask([("HSET", KEYS.facts(INFO.id), "spec", "a spec")])
    taken: list[Any] = []
    eye = watch(link, "r_1", clock, taken)
    await eye.look()
    clock.now += 5
    await eye.look()
    spec, stays_ms = await link.ask(
        [("HGET", KEYS.facts(INFO.id), "spec"), ("PTTL", KEYS.facts(INFO.id))]
    )

    assert spec == b""
    assert 0 < stays_ms <= 60_000 + TOMBSTONE_MS
    assert [record.spec for _, record in taken] == [b"a spec"]  # whoever records it needs it


async def test_the_figures_are_those_of_its_end(link: RedisLink, clock: Clock) -> None:
    """Lists show a lost run as failed, in its figures too, and when that was."""
    at_work = '{"state": "running", "events": 1, "total_ms": 0}'
    await link.ask([("HSET", KEYS.facts(INFO.id), "statistics", at_work)])
    eye = watch(link, "r_1", clock, [])
    await eye.look()
    clock.now += 5
    await eye.look()
    (facts,) = await link.ask([("HGETALL", KEYS.facts(INFO.id))])
    record = Record.read(facts)

    assert record is not None
    assert record.figures() == {
        "state": "failed", "events": 1, "total_ms": t_ms_of((await log_of(link))[-1]),
    }  # fmt: skip


async def taken_by(link: RedisLink, clock: Clock, **changes: Any) -> Watch:
    """The eye of `r_1`, which has just taken over a run that it is to restart."""
    await link.ask([("HSET", KEYS.facts(INFO.id), "spec", "a spec")])
    eye = watch(link, "r_1", clock, [], policy="restart", **changes)
    await eye.look()
    clock.now += 5
    with suppress(LogUnavailable):
        await eye.look()
    return eye


async def test_a_run_that_was_taken_and_not_begun_is_begun_later(
    link: RedisLink, clock: Clock
) -> None:
    """A takeover that Redis did, and after which it did not answer, is gone on with."""
    begun: list[Record] = []
    answers = iter([False, True])

    async def on_taken(record: Record) -> None:
        if not next(answers):
            raise LogUnavailable("Away.", retry_after_ms=0)
        begun.append(record)

    eye = await taken_by(
        link, clock, on_taken=on_taken, works_on=lambda run: run in {r.info.id for r in begun}
    )
    assert begun == []
    await eye.look()
    await eye.look()

    assert [(record.info.id, record.epoch, record.spec) for record in begun] == [
        (INFO.id, 2, b"a spec")
    ]
    assert [position_of(event) for event in await log_of(link)] == ["1-1", "2-1"]


@pytest.mark.parametrize("key", [KEYS.facts("run_0"), KEYS.log("run_0")])
@pytest.mark.parametrize("mine", [False, True], ids=["of a lost replica", "adrift"])
async def test_a_run_whose_keys_hold_something_else_is_given_up(
    link: RedisLink, clock: Clock, caplog: pytest.LogCaptureFixture, key: str, mine: bool
) -> None:
    """It is told once, and the other runs are taken over."""
    spoilt, owner = INFO._replace(id="run_0"), "r_1" if mine else "r_dead"
    record = Record(spoilt, owner, 1, "running", {}, b"")
    first = encoded(1, 1, spoilt.id, 0, spoilt.started())
    await link.ask([*write_events(KEYS, spoilt.id, [first]), *write_facts(KEYS, record)])
    await link.ask([("SET", key, "what is it?")])
    taken: list[Any] = []
    eye = watch(link, "r_1", clock, taken)
    for _ in range(3):
        await eye.look()
        clock.now += 5

    assert [record.info.id for _, record in taken] == [INFO.id]
    assert [line.split(":")[1] for line in caplog.messages if "given_up" in line] == [" run_0"]


async def test_an_end_that_was_not_told_is_told_later(link: RedisLink, clock: Clock) -> None:
    """A run that was ended here, just before Redis went away, is handed on when it is back."""
    told: list[str] = []
    answers = iter([False, True])

    async def on_taken(record: Record) -> None:
        if not next(answers):
            raise LogUnavailable("Away.", retry_after_ms=0)
        told.append(record.state)

    eye = watch(link, "r_1", clock, [], on_taken=on_taken)
    await eye.look()
    clock.now += 5
    with pytest.raises(LogUnavailable):
        await eye.look()
    await eye.look()
    await eye.look()

    assert told == ["failed"]


@pytest.mark.parametrize(
    ("epoch", "end"), [(RESTARTS, "run.restarted"), (RESTARTS + 1, "run.failed")]
)
async def test_a_run_is_run_again_so_often(
    link: RedisLink, clock: Clock, epoch: int, end: str
) -> None:
    """One whose replicas die again and again fails in the end."""
    await link.ask([("HSET", KEYS.facts(INFO.id), "epoch", epoch)])
    await taken_by(link, clock, works_on=lambda _run: True)

    assert kind_of((await log_of(link))[-1]) == end


async def test_a_run_that_another_has_taken_is_not_looked_at_again(
    link: RedisLink, clock: Clock
) -> None:
    """Who was second at a takeover forgets the run."""
    await link.ask([("SADD", KEYS.working("r_1"), INFO.id)])

    assert await watch(link, "r_1", clock, []).adrift() == []
    (left,) = await link.ask([("SMEMBERS", KEYS.working("r_1"))])
    assert left == set()


async def test_a_run_that_cannot_be_begun_is_ended(link: RedisLink, clock: Clock) -> None:
    """Whatever fails after a takeover, the run gets an end, once."""
    told: list[bool] = []

    async def on_taken(record: Record) -> None:
        told.append(record.ended)
        if not record.ended:
            raise ValueError

    eye = await taken_by(link, clock, on_taken=on_taken)
    await eye.look()

    assert told == [False, True]
    assert [kind_of(event) for event in await log_of(link)] == [
        "run.started", "run.restarted", "run.failed",
    ]  # fmt: skip
    assert await eye.adrift() == []
