"""When the writer's thread is in a hurry."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from llm_stream.history.database import Store
from llm_stream.history.writer import Writer

from ..wire import until


class Job:
    """Nothing to write; it can be held up while it is at it."""

    size, runs, name = 1, 1, None

    def __init__(self, *, optional: bool, free: threading.Event | None = None) -> None:
        self.optional = optional
        self.begun, self.over = threading.Event(), threading.Event()
        self._free = free

    def prepare(self) -> None:
        """See `batches.Job`."""
        self.begun.set()
        if self._free is not None:
            self._free.wait(10)

    def write(self, store: Store, others: Sequence[Any]) -> None:
        """See `batches.Job`."""

    def done(self) -> None:
        """See `batches.Job`."""
        self.over.set()


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    """A writer that has not begun to work."""
    writer = Writer(path, lambda _store: False, max_jobs=8, max_bytes=1000)
    yield writer
    writer.close(5)


async def test_it_hurries_while_somebody_waits(writer: Writer) -> None:
    """From the moment on in which that is asked for, to its end."""
    free = threading.Event()
    waited_for, later = Job(optional=False, free=free), Job(optional=True)
    writer.start()
    assert writer.put(waited_for)
    assert writer.breath.hurried
    await until(waited_for.begun.is_set)
    assert writer.put(later)
    assert writer.breath.hurried

    free.set()
    await until(waited_for.over.is_set)
    await until(lambda: not writer.breath.hurried)
    await until(later.over.is_set)


async def test_it_hurries_where_much_is_queued(writer: Writer) -> None:
    """Half of what may be; until it has been written."""
    jobs = [Job(optional=True) for _ in range(4)]
    hurried = []
    for job in jobs:
        assert writer.put(job)
        hurried.append(writer.breath.hurried)

    assert hurried == [False, False, False, True]
    writer.start()
    await until(jobs[-1].over.is_set)
    await until(lambda: not writer.breath.hurried)


async def test_it_hurries_to_its_end(writer: Writer) -> None:
    """Whoever closes it waits."""
    job = Job(optional=True)
    writer.start()
    writer.put(job)
    writer.close(5)

    assert writer.breath.hurried
    assert job.over.is_set()
