"""Calls that cost nothing, on their way to the writer."""

from typing import Any

from llm_stream.history.jobs import Counting
from llm_stream.history.ledger import Reuse, Reused
from llm_stream.history.reuses import MAX_WAITING, Reuses
from llm_stream.recipes.spec import RunSpec

from ..wire import turns

SPEC = RunSpec(recipe="generate", model="m", tier="fast", owner="o")
MINUTE = 1_800_000_000
KEY = Reuse(MINUTE, "generate", "m", "fast", "o")


class Written:
    """A writer's side: the jobs it was given, until it is full."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []
        self.full = False

    def put(self, job: Any) -> bool:
        """Take a job."""
        if not self.full:
            self.jobs.append(job)
        return not self.full

    @property
    def counts(self) -> list[Any]:
        """What the jobs hold."""
        return [dict(job._reused) for job in self.jobs]


async def test_calls_of_one_minute_are_one_row() -> None:
    """However many there were; the kinds are told apart."""
    writer, now = Written(), MINUTE + 59.9
    reuses = Reuses(writer.put, lambda: now)
    for how in ("cached", "cached", "joined"):
        reuses.count(SPEC, how)
    now += 1
    reuses.count(SPEC, "cached")
    reuses.close()

    assert writer.counts == [{KEY: Reused(2, 1), KEY._replace(minute=MINUTE + 60): Reused(1, 0)}]
    assert isinstance(writer.jobs[0], Counting)


async def test_what_the_writer_does_not_take_is_counted_on() -> None:
    """A queue that is closed for a moment loses nothing."""
    writer = Written()
    writer.full = True
    reuses = Reuses(writer.put, lambda: MINUTE)
    reuses.count(SPEC, "cached")
    reuses.flush()
    writer.full = False
    reuses.count(SPEC, "cached")
    reuses.close()

    assert writer.counts == [{KEY: Reused(2, 0)}]


async def test_a_writer_that_fails_is_given_few_batches() -> None:
    """The rest is added up here, and handed over when one of them has been written."""
    writer = Written()
    reuses = Reuses(writer.put, lambda: MINUTE)
    for _ in range(MAX_WAITING + 3):
        reuses.count(SPEC, "cached")
        reuses.flush()
    assert len(writer.jobs) == MAX_WAITING

    writer.jobs[0].done()
    await turns()
    reuses.close()

    assert writer.counts[-1] == {KEY: Reused(3, 0)}


async def test_nothing_is_handed_over_where_nothing_was_counted() -> None:
    """A flush without counts gives the writer no work."""
    writer = Written()
    Reuses(writer.put).close()

    assert writer.jobs == []
