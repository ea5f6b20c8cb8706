"""One execution: a task that writes a log and always ends it."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing

from llm_stream.engine.endings import LAST_RESORT, STATES, failed, forget_frames, raised, tell
from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.gate import Pass
from llm_stream.engine.insistence import Insistence
from llm_stream.engine.interest import Interest
from llm_stream.engine.runinfo import (
    CancelReason,
    Client,
    DescribeError,
    Outcome,
    RunInfo,
    RunStatistics,
    Source,
    State,
)
from llm_stream.engine.subscription import Subscription
from llm_stream.engine.tally import Tally
from llm_stream.errors import InternalError
from llm_stream.events import Event, kind_of, payload_of, t_ms_of
from llm_stream.payloads import Payload


class Run:
    """One producing task, its log, its tally and its readers.

    `run.started` is in the log when the constructor returns. The task's done-callback appends the
    terminal event: a task that is cancelled before its first step never enters its body.

    Args:
        info: what it is about.
        max_log_bytes: bound of the log.
        describe_error: makes the problem object of `run.failed`.
        client: who launched it; without one it goes on for ever.
        log: of a run that is taken over from another replica; it has begun already.

    Attributes:
        substituted: whether a fallback answered, here or in an inner run.
        marks: what the answer can be invalidated by, {name: generation}; None: it is not kept.
        superseded: whether another replica has taken it over, and so has all there is to record.
    """

    def __init__(
        self,
        info: RunInfo,
        *,
        max_log_bytes: int,
        describe_error: DescribeError,
        client: Client | None = None,
        log: EventLog | None = None,
    ) -> None:
        self.info = info
        self.error: BaseException | None = None
        self.task: asyncio.Task[Outcome] | None = None
        self.interest = Interest(client or Client(), lambda: self.cancel("abandoned"))
        self.state: State = "queued"
        self.substituted = self.superseded = False
        self.marks: Mapping[str, int] | None = None
        self.tally = Tally()
        self._describe_error = describe_error
        self._passes: Sequence[Pass] = ()
        self._reason: CancelReason | None = None
        self._insistence = Insistence(self._go_on_without_task)
        self._finished: list[Callable[[Run], None]] = []
        self.log = EventLog(info.id, max_bytes=max_log_bytes) if log is None else log
        if log is None:
            self.log.append(info.started())
        for event in self.log.everything():
            self.tally.count(payload_of(event), t_ms_of(event))

    @property
    def id(self) -> str:
        """The run's id, `run_` and a ULID."""
        return self.info.id

    @property
    def done(self) -> bool:
        """Whether the terminal event is in the log."""
        return self.log.sealed

    @property
    def ending(self) -> bool:
        """Whether it has ended or was told to; nobody new should wait for it."""
        return self.log.closed or self._reason is not None

    @property
    def waits_for_slot(self) -> bool:
        """Whether it still has to pass a gate, and so may wait for other runs to end."""
        return self.state == "queued" and bool(self._passes)

    @property
    def readers(self) -> int:
        """Subscriptions open now."""
        return self.interest.readers

    def start(self, source: Source, passes: Sequence[Pass] = ()) -> None:
        """Begin to produce; call once. The run owns and closes `source` and `passes`."""
        self._passes = passes
        self.task = asyncio.create_task(self._produce(source), name=self.id)
        self.task.add_done_callback(self._finish)

    async def _produce(self, source: Source) -> Outcome:
        came = time.monotonic()
        try:
            for ticket in self._passes:
                await ticket.enter(lambda p: self.log.append({"type": "run.queued", "position": p}))
        finally:
            self.tally.waited_seconds = time.monotonic() - came
            self.tally.queued_ms = self._now_ms()
        self.tally.began = True
        self.state = "running"
        outcome = None
        async with aclosing(source):
            async for said in source:
                if isinstance(said, Outcome):
                    outcome = said
                else:
                    self.tally.record(self.log, said if isinstance(said, list) else [said])
        if outcome is None:
            raise InternalError("The recipe ended without a result. This is a bug.", run=self.id)
        self.tally.waited_seconds += outcome.model_seconds
        return outcome

    def record(self, payload: Payload) -> None:
        """Append what is not of the recipe's own saying; not if the run has ended."""
        if not self.log.closed:
            self.tally.record(self.log, [payload])

    def _now_ms(self) -> int:
        return int((time.monotonic() - self.log.born) * 1000)

    def _finish(self, task: asyncio.Task[Outcome]) -> None:
        if self.log.closed:
            # The task would not end, or the run was handed over: what became of it matters no more.
            _ = task.cancelled() or task.exception()
            return
        try:
            self._conclude(task)
        except Exception as error:  # noqa: BLE001 - readers would wait for ever without an end
            self._seal({"type": "run.failed", "error": {**LAST_RESORT, "run": self.id}}, error)

    def _conclude(self, task: asyncio.Task[Outcome]) -> None:
        self.tally.total_ms = self._now_ms()
        if task.cancelled():
            self._seal_cancelled()
        elif error := raised(task):
            self._seal(failed(error, self.info, self._describe_error), error)
        else:
            self.substituted |= self.tally.model not in {None, self.info.model}
            self._seal(self.tally.completed(task.result()))

    def _seal_cancelled(self) -> None:
        said = self.tally.usage()
        self._seal({"type": "run.cancelled", "reason": self._reason or "shutdown", "usage": said})

    def _seal(self, payload: Payload, error: BaseException | None = None) -> None:
        self.error = error
        self.state = STATES[payload["type"]]
        self.log.append(payload)
        self._end()

    def _end(self) -> None:
        self.interest.close()
        self.tally.settle()
        self._insistence.end()
        for ticket in self._passes:
            ticket.leave()
        finished, self._finished = self._finished, []
        tell(finished, self, self.id)
        if self.error is not None:
            forget_frames(self.error)

    def on_finished(self, callback: Callable[["Run"], None]) -> None:
        """Call `callback(run)` once, right after the terminal event; not if that has passed."""
        self._finished.append(callback)

    def cancel(self, reason: CancelReason) -> bool:
        """End the run early. True for the call that did it; the first reason stays."""
        # A second task.cancel() would interrupt the closing of the upstream.
        if self.log.closed or self._reason is not None or self.task is None:
            if reason == "shutdown" and self.log.closed and not self.done:
                self.state = "cancelled"  # here; its end is told elsewhere
                self._end()
            return False
        self._reason = reason
        return self._insistence.begin(self.task)

    def hand_over(self) -> None:
        """Another replica works on it from now on, and writes what comes: see `feed`."""
        self.superseded = True
        self.log.close()
        self.tally.settle()
        if self.task is not None:
            self.task.cancel()
        for ticket in self._passes:
            ticket.leave()

    def feed(self, events: Sequence[Event]) -> None:
        """Take in what another replica has written behind the last event here."""
        was_done = self.done
        self.log.extend(events)
        if self.done and not was_done:
            self.state = STATES[kind_of(self.log.newest)]
            self._end()

    def _go_on_without_task(self) -> None:
        if not self.log.closed:
            self.tally.total_ms = self._now_ms()
            self._seal_cancelled()

    def join(self, client: Client) -> None:
        """One more client wants the run; its patience counts if it is the longer one."""
        self.interest.join(client)

    def release(self, claim: str | None = None) -> bool:
        """A client wants the run no more; whether that ended it (see `Interest.release`)."""
        return self.interest.release(claim) and self.cancel("requested")

    def subscribe(self, after: str = "0") -> Subscription:
        """Open a reader behind the cursor `after`; close it (`with`) to leave.

        When the last reader leaves and none comes within `abandon_seconds`, the run is
        cancelled as abandoned.

        Raises:
            InvalidCursor: `after` was never issued for this run (the caller's doing).
        """
        index = self.log.locate(after)
        self.interest.reader_came()
        return Subscription(self.log, index, self.interest.reader_left, after=after)

    def events(self) -> list[Event]:
        """Every event so far."""
        return self.log.everything()

    def statistics(self) -> RunStatistics:
        """The run's figures now."""
        return self.tally.statistics(
            state=self.state,
            readers=self.interest.readers,
            events=len(self.log),
            log_bytes=self.log.bytes,
            total_ms=self.tally.total_ms if self.done else self._now_ms(),
        )
