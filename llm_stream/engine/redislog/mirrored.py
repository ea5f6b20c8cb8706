"""One run on its way to Redis: how much of it is there, and what brings the rest."""

from dataclasses import asdict, dataclass, field

from llm_stream.engine.chapters import NOWHERE, Place
from llm_stream.engine.redislog.link import Command
from llm_stream.engine.redislog.records import (
    Keys,
    Record,
    read_last,
    write_end,
    write_ended,
    write_events,
    write_facts,
)
from llm_stream.engine.run import Run
from llm_stream.errors import InvalidCursor
from llm_stream.events import Event, is_terminal


@dataclass(slots=True, eq=False)
class Mirrored:
    """A run and how much of it is in Redis.

    Attributes:
        spec: how to run it again, if somebody wants to know.
        index: of the first event that is not in Redis, as far as is known.
        described: whether its facts are there.
        unsure: whether Redis has to be looked at before anything is written.
        events: what is being written.
    """

    run: Run
    spec: bytes = b""
    index: int = 0
    described: bool = False
    unsure: bool = False
    events: list[Event] = field(default_factory=list)

    @property
    def ends(self) -> bool:
        """Whether the run's last event is being written."""
        return bool(self.events) and is_terminal(self.events[-1])

    def questions(self, keys: Keys, replica: str) -> list[Command]:
        """What tells how much is there: the newest event, then signs that all facts are."""
        run = self.run
        asked: list[Command] = [
            read_last(keys, run.id),
            ("HEXISTS", keys.facts(run.id), "info"),
        ]
        if not run.done:
            asked.append(("SISMEMBER", keys.working(replica), run.id))
        return asked

    def commands(self, keys: Keys, replica: str, retention_ms: int) -> list[Command]:
        """What writes the events, the facts if they are not there, and the end after the last."""
        run, events = self.run, self.events
        commands = write_events(keys, run.id, events[:-1] if self.ends else events)
        if not self.described:
            epoch, statistics = run.log.last.epoch, asdict(run.statistics())
            facts = Record(run.info, replica, epoch, "running", statistics, self.spec)
            commands += write_facts(keys, facts)
        if self.ends:
            commands.append(write_end(keys, run.id, events[-1], run.statistics(), retention_ms))
        elif run.done and not events:
            # Its end was written, and its facts were not.
            commands += write_ended(keys, run.id, run.statistics(), retention_ms)
        if run.done and (self.ends or not events):
            commands.append(("SREM", keys.working(replica), run.id))
        return commands


def is_ours(run: Run) -> bool:
    """Whether its log is written here, or is complete: not, where another replica writes it."""
    return run.done or not run.log.closed


def index_behind(place: Place, run: Run) -> int | None:
    """Index of the first event behind a place in Redis; None if another owner has written there."""
    if place.epoch > run.log.last.epoch or not is_ours(run):
        return None
    try:
        return run.log.locate(str(place)) if place > NOWHERE else 0
    except InvalidCursor:
        return None
