"""Copies of other replicas' logs."""

import asyncio
from typing import Any

import pytest

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.records import Keys, Record, write_events
from llm_stream.engine.redislog.remote import RemoteRun
from llm_stream.engine.redislog.tail import LogTail
from llm_stream.engine.runinfo import RunInfo
from llm_stream.events import encoded, position_of

KEYS = Keys("test")


def copy(name: str, tail: LogTail) -> RemoteRun:
    """The run of that name, as another replica's."""
    info = RunInfo(id=name, recipe="generate", model="m", key="k")

    def tell(do: str, **facts: Any) -> None:
        """Nobody hears it."""

    return RemoteRun(Record(info, "r_other", 1, "running", {}), tell, tail.follow)


async def test_a_ring_that_got_lost_costs_a_moment(
    link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every log is looked at now and then, also while another one's owner rings all the time."""
    monkeypatch.setattr("llm_stream.engine.redislog.tail.LOOK_SECONDS", 0.05)
    tail = LogTail(link, KEYS)
    loud, quiet = copy("run_0", tail), copy("run_1", tail)
    work = asyncio.create_task(tail.work())
    with loud.subscribe(), quiet.subscribe():
        await tail.fill(quiet)
        first = encoded(1, 1, quiet.id, 0, quiet.info.started())
        await link.ask(write_events(KEYS, quiet.id, [first]))
        while not len(quiet.log):
            tail.ring(loud.id)
            await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert [position_of(event) for event in quiet.events()] == ["1-1"]


async def test_a_log_that_is_none_keeps_no_other_waiting(link: RedisLink) -> None:
    """Where a key holds something else its run is let go, and the others are filled."""
    tail = LogTail(link, KEYS)
    spoilt, good = copy("run_0", tail), copy("run_1", tail)
    first = encoded(1, 1, good.id, 0, good.info.started())
    await link.ask([("SET", KEYS.log(spoilt.id), "what?"), *write_events(KEYS, good.id, [first])])
    work = asyncio.create_task(tail.work())
    with spoilt.subscribe(), good.subscribe() as reader:
        await reader.more()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert [position_of(event) for event in good.events()] == ["1-1"]
    assert [*tail.runs] == ["run_1"]
