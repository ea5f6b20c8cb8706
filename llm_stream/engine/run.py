"""One execution: a task that writes a log and always ends it."""

import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from llm_stream.engine.endings import LAST_RESORT, forget_frames
from llm_stream.engine.eventlog import EventLog, Subscription
from llm_stream.engine.gate import Pass
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
from llm_stream.engine.tally import Tally
from llm_stream.errors import InternalError, StreamError
from llm_stream.events import Event, Payload

INSIST_SECONDS: Final = 1.0
"""How long a cancelled task has to end before it is cancelled again."""

INSIST_TIMES: Final = 3
"""Cancels in all; then the run ends without its task, which may be a plugin's fault."""


class Run:
    """One producing task, its log and its readers.

    `run.started` is in the log when the constructor returns; the terminal event is
    appended by the task's done-callback, because a task that is cancelled before its first step
    never enters its body.

    Args:
        info: what it is about.
        max_log_bytes: bound of the log.
        describe_error: makes the problem object of `run.failed`.
        client: who launched it; without one it goes on for ever.

    Attributes:
        substituted: whether a fallback answered, here or in an inner run.
        marks: what the answer can be invalidated by, {name: generation}; None: it is not kept.
        refreshes: whether it computes an answer anew that may be there.
    """

    def __init__(
        self,
        info: RunInfo,
        *,
        max_log_bytes: int,
        describe_error: DescribeError,
        client: Client | None = None,
    ) -> None:
        self.info = info
        self.error: BaseException | None = None
        self.task: asyncio.Task[Outcome] | None = None
        self.interest = Interest(client or Client(), lambda: self.cancel("abandoned"))
        self.state: State = "queued"
        self.substituted = False
        self.marks: Mapping[str, int] | None = None
        self.refreshes = False
        self._tally = Tally()
        self._describe_error = describe_error
        self._passes: Sequence[Pass] = ()
        self._reason: CancelReason | None = None
        self._insisting: asyncio.TimerHandle | None = None
        self._finished: list[Callable[[Run], None]] = []
        self.log = EventLog(info.id, max_bytes=max_log_bytes)
        self.log.append(info.started())

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
        return self.done or self._reason is not None

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
        for ticket in self._passes:
            await ticket.enter(self._wait_in_line)
        self._tally.queued_ms = self._now_ms()
        self.state = "running"
        outcome: Outcome | None = None
        append, count = self.log.append, self._tally.count
        async with aclosing(source):
            async for payload in source:
                if isinstance(payload, Outcome):
                    outcome = payload
                else:
                    append(payload)
                    count(payload, self._now_ms)
        if outcome is None:
            raise InternalError("The recipe ended without a result. This is a bug.", run=self.id)
        return outcome

    def record(self, payload: Payload) -> None:
        """Append what is not of the recipe's own saying; not if the run has ended."""
        if not self.done:
            self.log.append(payload)
            self._tally.count(payload, self._now_ms)

    def _wait_in_line(self, position: int) -> None:
        self.log.append({"type": "run.queued", "position": position})

    def _now_ms(self) -> int:
        return int((time.monotonic() - self.log.born) * 1000)

    def _finish(self, task: asyncio.Task[Outcome]) -> None:
        if self.done:
            # Sealed before, because the task would not end; what became of it matters no more.
            _ = task.cancelled() or task.exception()
            return
        try:
            self._conclude(task)
        except Exception as error:  # noqa: BLE001 - readers would wait for ever without an end
            self.state = "failed"
            self.error = error
            self._seal({"type": "run.failed", "error": LAST_RESORT | {"run": self.id}})

    def _conclude(self, task: asyncio.Task[Outcome]) -> None:
        self._tally.total_ms = self._now_ms()
        if task.cancelled():
            self.state = "cancelled"
            reason = self._reason or "shutdown"
            self._seal({"type": "run.cancelled", "reason": reason, "usage": self._tally.usage()})
        elif error := task.exception():
            self.state = "failed"
            self.error = error
            shown = error if isinstance(error, StreamError) else InternalError(
                "The service failed while it worked on this run. Its log has the details.",
                run=self.id,
            )  # fmt: skip
            problem = self._describe_error(shown, run=self.id, request=self.info.request)
            self._seal({"type": "run.failed", "error": problem})
        else:
            self.state = "completed"
            self.substituted |= self._tally.model not in {None, self.info.model}
            self._seal(self._tally.completed(task.result()))

    def _seal(self, payload: Payload) -> None:
        self.log.append(payload)
        self.interest.close()
        if self._insisting is not None:
            self._insisting.cancel()
        for ticket in self._passes:
            ticket.leave()
        finished, self._finished = self._finished, []
        for callback in finished:
            callback(self)
        if self.error is not None:
            forget_frames(self.error)

    def on_finished(self, callback: Callable[["Run"], None]) -> None:
        """Call `callback(run)` once, right after the terminal event; not if that has passed."""
        self._finished.append(callback)

    def cancel(self, reason: CancelReason) -> bool:
        """End the run early. True for the call that did it; the first reason stays."""
        # A second task.cancel() would interrupt the closing of the upstream.
        if self.done or self._reason is not None or self.task is None:
            return False
        self._reason = reason
        self._insisting = asyncio.get_running_loop().call_later(INSIST_SECONDS, self._insist, 1)
        return self.task.cancel()

    def _insist(self, times: int) -> None:
        """The task has not ended a second after its cancel: ask again, then go on without it."""
        if times < INSIST_TIMES and self.task is not None:
            self.task.cancel()
            loop = asyncio.get_running_loop()
            self._insisting = loop.call_later(INSIST_SECONDS, self._insist, times + 1)
            return
        self.state = "cancelled"
        self._tally.total_ms = self._now_ms()
        reason = self._reason or "shutdown"
        self._seal({"type": "run.cancelled", "reason": reason, "usage": self._tally.usage()})

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
        return Subscription(self.log, index, self.interest.reader_left)

    def events(self) -> list[Event]:
        """Every event so far."""
        return self.log.slice(0, limit=len(self.log), max_bytes=sys.maxsize)

    def statistics(self) -> RunStatistics:
        """The run's figures now."""
        return self._tally.statistics(
            state=self.state,
            readers=self.interest.readers,
            events=len(self.log),
            log_bytes=self.log.bytes,
            total_ms=self._tally.total_ms if self.done else self._now_ms(),
        )
