"""The observer: which run belongs to whose trace, and what it does when too much ends at once."""

import logging
from threading import Semaphore
from typing import Any

import pytest

from llm_stream.tracing.context import Place, caller, number_of
from llm_stream.tracing.observer import Tracing

from .test_spans import COMPLETED, DELTA, run_of

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


class Kept:
    """Keeps what it is given; raises instead if it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sent: dict[str, Place | None] = {}
        self.error = error
        self.closed = False

    def send(self, run: str, above: Place | None, began_at: float, root: Any, below: Any) -> None:
        """Keep one run."""
        if self.error is not None:
            raise self.error
        self.sent[run] = above

    def close(self) -> None:
        """Nothing follows."""
        self.closed = True


def a_run(name: str, parent: str | None = None) -> Any:
    """A run that has ended."""
    run = run_of((1, DELTA), (2, COMPLETED), parent=parent)
    run.info = run.info._replace(id=name)
    return run


async def test_a_run_belongs_to_its_caller_or_to_itself() -> None:
    """What the header says holds for the runs of its request only."""
    kept = Kept()
    tracing = Tracing(kept)
    for name, header in (("a", CALLER), ("b", None)):
        tracing.request_came(header)
        run = a_run(name)
        tracing.run_started(run)
        tracing.run_finished(run)
    await tracing.close()

    place = kept.sent["a"]
    assert place is not None
    assert (f"{place.trace:032x}", place.sampled) == (CALLER.split("-")[1], False)
    assert kept.sent["b"] is None
    assert kept.closed


@pytest.mark.parametrize("header", [CALLER, None])
async def test_inner_runs_belong_to_their_parents(header: str | None) -> None:
    """However deep, in the trace of the outermost, though they end before it."""
    kept = Kept()
    tracing = Tracing(kept)
    tracing.request_came(header)
    runs = [a_run("a"), a_run("b", "a"), a_run("c", "b")]
    for run in runs:
        tracing.run_started(run)
    for run in reversed(runs):
        tracing.run_finished(run)
    await tracing.close()

    outer = kept.sent["a"]
    trace = number_of("a", 128) if outer is None else outer.trace
    sampled = outer is None or outer.sampled
    assert kept.sent["b"] == Place(trace, number_of("a", 64), sampled)
    assert kept.sent["c"] == Place(trace, number_of("b", 64), sampled)
    caller.set(None)


async def test_what_cannot_be_told_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A fault in here touches no run, and is not silent."""
    tracing = Tracing(Kept(ValueError("the bug")))
    for name in ("a", "b"):
        tracing.run_finished(a_run(name))
    await tracing.close()

    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


async def test_too_many_at_once_are_dropped() -> None:
    """What waits to be told is bounded; the rest is counted."""
    kept = Kept()
    tracing = Tracing(kept)
    tracing._room = Semaphore(0)
    tracing.run_finished(a_run("a"))
    await tracing.close()

    assert (tracing.dropped, kept.sent) == (1, {})
