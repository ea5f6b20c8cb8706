"""What becomes of a run that was taken over."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.redislog.elsewhere import RemoteRuns
from llm_stream.engine.redislog.link import RedisLink
from llm_stream.engine.redislog.post import Post
from llm_stream.engine.redislog.records import Keys, Record, write_events
from llm_stream.engine.redislog.succession import Succession
from llm_stream.engine.redislog.tail import LogTail
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, RunInfo
from llm_stream.errors import Draining
from llm_stream.events import Event, encoded, kind_of, position_of
from llm_stream.payloads import Payload

from ...problem import PROBLEM
from ...redisserver import RedisServer
from ..conftest import MakeRun, describe, say
from ..test_run import finished

KEYS = Keys("test")
RESTARTED: Payload = {"type": "run.restarted", "reason": "owner_lost"}


@dataclass
class Heirs:
    """An heir whose runs say "x"; what it was told."""

    registry: RunRegistry
    draining: bool = False
    begun: list[Run] = field(default_factory=list)
    recorded: list[tuple[bytes, list[str]]] = field(default_factory=list)

    async def restart(
        self, info: RunInfo, spec: bytes, epoch: int, earlier: Sequence[Event]
    ) -> Run:
        if self.draining:
            raise Draining("Later.")
        log = EventLog(info.id, max_bytes=10_000, epoch=epoch, earlier=earlier)
        run = Run(info, max_log_bytes=0, describe_error=describe, log=log)
        self.registry.start_or_join("k", lambda: run, Client(), join=False)
        run.interest.expect()
        self.begun.append(run)
        return run

    def record(self, info: RunInfo, spec: bytes, run: Run) -> None:
        self.recorded.append((spec, [kind_of(event) for event in run.events()]))


@pytest.fixture
async def here(redis_server: RedisServer) -> AsyncIterator[Any]:
    """A registry, what succeeds to runs there, and a way to Redis."""
    link = RedisLink(redis_server.url)
    registry = RunRegistry(retention_seconds=60, retention_bytes=10_000)
    tail = LogTail(link, KEYS)
    remote = RemoteRuns(link, KEYS, Post(link, KEYS, "r_1"), tail)
    yield registry, Succession(registry, remote, tail), link
    await registry.close()
    await link.close()


async def taken(link: RedisLink, run: Run, payload: Payload, state: Any) -> Record:
    """Write a run and its first event after a takeover; the record of it."""
    events = [*run.events(), encoded(2, 1, run.id, 0, payload)]
    await link.ask(write_events(KEYS, run.id, events))
    return Record(run.info, "r_1", 2, state, {}, b"a spec")


async def test_readers_of_a_run_that_comes_back_are_its_readers(
    here: Any, make_run: MakeRun
) -> None:
    """Handed over and taken again: who reads the first one gets all of the second, and counts."""
    registry, succession, link = here
    before = make_run()
    registry.start_or_join("k", lambda: before, Client(), join=False)
    succession.heir = heir = Heirs(registry)
    with before.subscribe() as reader:
        before.hand_over()
        await succession.begin(await taken(link, before, RESTARTED, "running"))
        (run,) = heir.begun
        assert run.readers == 1
        run.start(say("x"))
        await finished(run)
        seen = [position_of(event) async for batch in reader.batches() for event in batch]

    assert seen == [position_of(event) for event in run.events()]
    assert seen[0] == "1-1"
    assert registry.get(run.id) is run


async def test_an_end_is_recorded_with_all_that_was_said(here: Any, make_run: MakeRun) -> None:
    """Of a run that ends with its replica the heir gets the spec and a whole copy."""
    registry, succession, link = here
    succession.heir = heir = Heirs(registry)
    end: Payload = {"type": "run.failed", "error": PROBLEM}
    await succession.begin(await taken(link, make_run(), end, "failed"))

    assert heir.recorded == [(b"a spec", ["run.started", "run.failed"])]
    assert heir.begun == []


async def test_nothing_begins_while_leaving(here: Any, make_run: MakeRun) -> None:
    """A run that an heir leaves to others is nobody's here; without an heir it cannot go on."""
    registry, succession, link = here
    record = await taken(link, make_run(), RESTARTED, "running")
    with pytest.raises(LookupError):
        await succession.begin(record)
    succession.heir = Heirs(registry, draining=True)
    await succession.begin(record)

    assert registry.get(record.info.id) is None
