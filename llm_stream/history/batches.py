"""Jobs of the writer, written many at a time: all in one transaction, and one fault drops one."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Protocol

from llm_stream.history.breath import Breath
from llm_stream.history.database import Store, is_ours, transaction

JOBS: Final = 256
"""Most jobs of one transaction: nobody else can write meanwhile."""

PAUSING_SECONDS: Final = 0.2
"""How long a transaction may pause now and then; all else it has to do follows without."""

BYTES: Final = 16 << 20
"""Most that they keep in memory together, unless it is one."""


class Job(Protocol):
    """Something to be written. All methods are called in the writer's thread.

    Attributes:
        size: bytes it keeps in memory, about.
        optional: whether it may be dropped when the queue is full; whether nobody waits for it.
        runs: how many it records.
        name: whose, if it can be written together with others of its kind that follow it, but not
            with one of the same name; None: it is written alone.
    """

    size: int
    optional: bool
    runs: int

    @property
    def name(self) -> str | None:
        """See above."""

    def prepare(self) -> None:
        """Do what needs no database; whatever it raises drops the job."""

    def write(self, store: Store, others: Sequence[Any]) -> None:
        """Write it and these, inside a transaction. It may be called again after a fault."""

    def done(self) -> None:
        """What was written is committed."""


def write(
    store: Store,
    jobs: Sequence[Job],
    count_failure: Callable[[Exception], None],
    breath: Breath,
) -> tuple[int, list[Job]]:
    """Write what can be written of these.

    Args:
        store: into what.
        jobs: in their order.
        count_failure: told why a job is dropped.
        breath: taken between two jobs.

    Returns:
        How many the database has refused, and the jobs that were written.

    Raises:
        Exception: what is wrong with the database; nothing was written.
    """
    fit: list[Job] = []
    breath.begin()
    for job in jobs:
        if _spared(job.prepare, count_failure):
            fit.append(job)
        breath.take()
    # Nobody else can write meanwhile, and llm's own way takes a hundred statements a run.
    breath.begin(PAUSING_SECONDS if store.known else 0)
    try:
        with transaction(store.db.conn):
            for some in _together(fit):
                some[0].write(store, some[1:])
    except Exception as error:
        if not is_ours(error):
            raise
    else:
        return 0, fit
    # One of them is at fault: each in a savepoint of its own. Not at first, because the search
    # index writes its part of the file at each of them.
    breath.begin(0)
    with transaction(store.db.conn):
        written = [job for job in fit if _spared(partial(_apart, store, job), count_failure)]
    return len(fit) - len(written), written


def _together(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs that follow each other and can be written together."""
    some: list[Job] = []
    names: set[str] = set()
    for job in jobs:
        if job.name is None or job.name in names or (some and type(job) is not type(some[0])):
            if some:
                yield some
            some, names = [], set()
        some.append(job)
        if job.name is None:
            yield some
            some = []
        else:
            names.add(job.name)
    if some:
        yield some


def _apart(store: Store, job: Job) -> None:
    with store.db.atomic():
        job.write(store, ())


def _spared(work: Callable[[], None], count_failure: Callable[[Exception], None]) -> bool:
    """Whether it worked. What is wrong with the database is raised, and so tried again."""
    try:
        work()
    except Exception as error:
        if not is_ours(error):
            raise
        count_failure(error)
        return False
    return True
