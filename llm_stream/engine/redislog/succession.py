"""What follows a takeover: the run goes on here, or its end is recorded."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from llm_stream.engine.redislog.elsewhere import RemoteRuns
from llm_stream.engine.redislog.records import Record
from llm_stream.engine.redislog.remote import HandedOver
from llm_stream.engine.redislog.tail import LogTail
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import RunInfo
from llm_stream.errors import Draining
from llm_stream.events import Event

log = logging.getLogger(__name__)


class Heir(Protocol):
    """Takes care of runs that were taken over."""

    async def restart(
        self, info: RunInfo, spec: bytes, epoch: int, earlier: Sequence[Event]
    ) -> Run:
        """Run it again, behind the events it has; whatever is raised ends it as failed.

        Raises:
            Draining: another replica is to do so.
        """

    def record(self, info: RunInfo, spec: bytes, run: Run) -> None:
        """It has ended; `run` is a copy of it. Must not raise or block."""


class Succession:
    """Hands runs that are this replica's now to its heir.

    Args:
        registry: runs of this process.
        remote: copies of those of others.
        tail: fills the copies.

    Attributes:
        heir: takes care of them; to be set before anything is taken over.
    """

    def __init__(self, registry: RunRegistry, remote: RemoteRuns, tail: LogTail) -> None:
        self.heir: Heir | None = None
        self._registry = registry
        self._remote = remote
        self._tail = tail

    async def begin(self, record: Record) -> None:
        """Go on with a run that was taken over, as its record says.

        Raises:
            LogUnavailable: what it has said cannot be read now.
        """
        copy = self._remote.of(record)
        await self._tail.fill(copy)
        if not record.ended:
            await self._go_on(record, copy.events())
        elif self.heir is not None and copy.done:
            self.heir.record(record.info, record.spec, copy)
        self._tail.ring(copy.id)

    async def _go_on(self, record: Record, earlier: Sequence[Event]) -> None:
        if self.heir is None:
            raise LookupError("nobody here goes on with runs")
        before = self._registry.get(record.info.id)
        try:
            run = await self.heir.restart(record.info, record.spec, record.epoch, earlier)
        except Draining:
            # It is this replica's, and nothing here works on it: the others see that at our end.
            log.info("run.left: %s", record.info.id)
            return
        if before is not None:
            # Handed over once, and back: what it was followed by is this replica's own.
            if isinstance(self._tail.runs.get(before.id), HandedOver):
                del self._tail.runs[before.id]
            before.interest.hand_on(run.interest)
            relay(run, before)


def relay(run: Run, before: Run, index: int = 0) -> None:
    """Show readers of the run that had its id before what this one says, to its end."""
    while events := run.log.slice(index, limit=len(run.log)):
        before.feed(events)
        index += len(events)
    if not run.done:
        run.log.notify(partial(relay, run, before, index))
