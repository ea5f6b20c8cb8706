"""Followed runs that are nowhere: told to their readers, and only then."""

from typing import Any

import pytest

from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.records import Keys, Record, write_events
from llm_stream.engine.redislog.vanished import Vanished
from llm_stream.engine.runinfo import RunInfo
from llm_stream.events import encoded

from ..conftest import Clock

KEYS = Keys("test")
INFO = RunInfo(id="run_1", recipe="generate", model="m", key="k")
RECORD = Record(INFO, "r_other", 1, "running", {})


def look_out(link: RedisLink, clock: Clock, ended: list[str], answer: Any) -> Vanished:
    """A look-out for one run; it waits five seconds, and its owner answers so."""

    async def ask(_known: Record) -> Any:
        return answer

    async def end(known: Record) -> None:
        ended.append(known.info.id)

    return Vanished(
        link, KEYS, wait_seconds=5, followed=lambda: [RECORD], ask=ask, end=end, clock=clock
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [({}, ["run_1"]), ({"last": "1-7"}, []), (None, [])],
    ids=["owner has forgotten", "owner has it", "owner is silent"],
)
async def test_what_nobody_has_is_ended(link: RedisLink, answer: Any, told: Any) -> None:
    """When it has been missing for long, and its owner says that it has it no more."""
    clock, ended = Clock(), list[str]()
    out = look_out(link, clock, ended, answer)
    await out.look()
    clock.now += 4.9
    await out.look()
    assert ended == []
    clock.now += 0.1
    await out.look()

    assert ended == told


async def test_what_comes_back_was_not_gone(link: RedisLink) -> None:
    """The wait begins anew when its owner has written it again."""
    clock, ended = Clock(), list[str]()
    out = look_out(link, clock, ended, {})
    await out.look()
    clock.now += 4
    started = encoded(1, 1, INFO.id, 0, INFO.started())
    await link.ask(write_events(KEYS, INFO.id, [started]))
    await out.look()
    await link.ask([("FLUSHALL",)])
    clock.now += 4
    await out.look()
    clock.now += 4
    await out.look()

    assert ended == []
