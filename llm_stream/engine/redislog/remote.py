"""A run that another replica works on, as readers here see it: its log is a copy."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from llm_stream.engine.chapters import NOWHERE, Chapters, Place, parse_cursor
from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.interest import Interest
from llm_stream.engine.redislog.records import Record
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import CancelReason, Client, RunStatistics
from llm_stream.engine.subscription import Subscription
from llm_stream.engine.tally import Tally
from llm_stream.errors import InternalError, InvalidCursor, StreamError, concrete_errors
from llm_stream.events import Event, decoded, kind_of, payload_of, t_ms_of


class Tell(Protocol):
    """Sends a message to the replica that works on the run."""

    def __call__(self, do: str, **facts: Any) -> None:
        """`do` is what it is to do."""


class CopiedLog(EventLog):
    """The copy of a log; filled by `extend` only.

    Attributes:
        ahead: a place that its owner is known to have written, or may have if it cannot be asked:
            cursors up to there are accepted before this copy has their events.
    """

    __slots__ = ("ahead",)

    def __init__(self, run: str) -> None:
        super().__init__(run, max_bytes=0)
        self._chapters = Chapters(None)
        self.ahead = NOWHERE

    def locate(self, after: str) -> int:
        """See `EventLog.locate`; the end, for a cursor whose event is not here yet."""
        try:
            return super().locate(after)
        except InvalidCursor:
            if self.missing(after) is None:
                raise
            return len(self)

    def missing(self, after: str) -> Place | None:
        """The place of a good cursor whose event is not here yet, None for any other."""
        place = parse_cursor(after)
        awaited = place is not None and self.last < place <= self.ahead and not self.sealed
        return place if awaited else None


class _RemoteInterest(Interest):
    """Counts the readers here; the policy is the owner's."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(Client(), lambda: None)
        self._tell = tell

    def forget(self, claim: str) -> None:
        """See `Interest.forget`; the claim is with the owner."""
        self._tell("forget", claim=claim)


class RemoteRun(Run):
    """A run of another replica. Readers find all a run has; what ends it, its owner is told.

    Args:
        record: what is known of it.
        tell: reaches the owner.
        follow: called when a reader comes, so that the log is filled while there is one.

    Attributes:
        known: the record of it.
        left_at: when the last reader left, seconds of the loop's clock; None while there is one.
    """

    log: CopiedLog

    def __init__(self, record: Record, tell: Tell, follow: Callable[["RemoteRun"], None]) -> None:
        super().__init__(record.info, max_log_bytes=1 << 16, describe_error=_never)
        self.log = CopiedLog(record.info.id)
        self.interest = _RemoteInterest(tell)
        self.state = "running"
        self.known = record
        self.left_at: float | None = None
        self._tell = tell
        self._follow = follow

    def learn(self, record: Record) -> None:
        """See `Followed.learn`."""
        self.known = record

    def feed(self, events: Sequence[Event]) -> None:
        """See `Run.feed`."""
        was_done = self.done
        super().feed(events)
        if self.done and not was_done:
            ending = decoded(self.log.newest)
            tried = [
                decoded(event)["next"]
                for event in self.events()
                if kind_of(event) == "attempt.failed"
            ]
            self.substituted = any(each and each["model"] != self.info.model for each in tried)
            if "error" in ending:
                self.error = told_error(ending["error"])

    def reached(self, after: str) -> bool:
        """Whether this copy has the event of that cursor, or can tell that there is none."""
        place = parse_cursor(after)
        return place is None or self.done or place <= self.log.last

    def subscribe(self, after: str = "0") -> Subscription:
        """See `Run.subscribe`.

        What this copy gets up to the cursor, if it is ahead of it, is not shown again.
        """
        index, skip = self.log.locate(after), self.log.missing(after)
        self.interest.reader_came()
        self._follow(self)
        if self.readers == 1 and not self.done:
            self._tell("follow", runs=[self.id])
        return Subscription(self.log, index, self._left, after=after, skip=skip)

    def _left(self) -> None:
        self.interest.reader_left()
        if not self.readers and not self.done:
            self.left_at = asyncio.get_running_loop().time()
            self._tell("leave")

    def join(self, client: Client) -> None:
        """See `Run.join`."""
        self._tell("join", claim=client.claim, abandon_seconds=client.abandon_seconds)

    def release(self, claim: str | None = None) -> bool:
        """Tell the owner; what comes of it is in the log."""
        self._tell("release", claim=claim)
        return False

    def cancel(self, reason: CancelReason) -> bool:
        """Not ours to end."""
        return False

    def statistics(self) -> RunStatistics:
        """The run's figures, as far as its log tells."""
        tally, events = Tally(), self.events()
        for event in events:
            tally.count(payload_of(event), t_ms_of(event))
        return tally.statistics(
            state=self.state,
            readers=self.readers,
            events=len(events),
            log_bytes=self.log.bytes,
            total_ms=t_ms_of(events[-1]) if events else 0,
        )


def told_error(problem: Mapping[str, Any]) -> StreamError:
    """The error that another replica has described."""
    known = {error.code: error for error in concrete_errors()}
    return known.get(problem["code"], InternalError)(
        problem["detail"],
        field=problem.get("field"),
        retry_after_ms=problem.get("retry_after_ms"),
        run=problem.get("run"),
    )


class HandedOver:
    """A run of this process that another replica has taken over: followed to its end."""

    def __init__(self, run: Run) -> None:
        self.id, self.log, self.feed = run.id, run.log, run.feed
        self.known: Record | None = None
        self._run = run

    @property
    def readers(self) -> int:
        """Readers it has here, those of this process."""
        return self._run.readers

    @property
    def left_at(self) -> float | None:
        """Never: it is followed to its end, read or not."""
        return None

    @left_at.setter
    def left_at(self, when: float | None) -> None:
        """Nothing comes of it."""

    def learn(self, record: Record) -> None:
        """See `Followed.learn`."""
        self.known = record

    @property
    def done(self) -> bool:
        """Whether its last event is here."""
        return self._run.done


class Followed(Protocol):
    """What the tail needs of what it fills."""

    left_at: float | None

    @property
    def log(self) -> EventLog:
        """What is filled."""

    @property
    def known(self) -> Record | None:
        """What is known of it."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def readers(self) -> int:
        """Readers it has here."""

    @property
    def done(self) -> bool:
        """Whether its last event is here."""

    def feed(self, events: Sequence[Event]) -> None:
        """Take in more events."""

    def learn(self, record: Record) -> None:
        """This is known of it now."""


def _never(*_: object, **__: object) -> NoReturn:
    raise AssertionError("only the owner ends a run")
