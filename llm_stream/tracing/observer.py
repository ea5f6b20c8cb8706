"""An observer that makes a trace of every run, in a thread, when the run has ended."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Semaphore, Thread
from typing import Final, Protocol

from llm_stream.engine.run import Run
from llm_stream.tracing.context import Place, caller, number_of, place_in
from llm_stream.tracing.spans import Span, root_of, spans_of

log = logging.getLogger(__name__)

MAX_WAITING: Final = 1_000
"""Ended runs whose spans are not made yet; further ones have no trace."""

CLOSE_SECONDS: Final = 5.0
"""How long the last traces may take at the end of the process."""


class Sending(Protocol):
    """Takes the spans of a run; called in one thread. See `otel.Sender`."""

    def send(
        self, run: str, above: Place | None, began_at: float, root: Span, below: Sequence[Span]
    ) -> None:
        """One run."""

    def close(self) -> None:
        """Send what is left."""


class Tracing:
    """Follows runs from the request that started them.

    Args:
        sender: where spans go; closed with this.

    Attributes:
        dropped: runs without a trace, because too many had ended at once.
    """

    def __init__(self, sender: Sending) -> None:
        self._sender = sender
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="traces")
        self._above: dict[str, Place | None] = {}
        self._room = Semaphore(MAX_WAITING)
        self.dropped = 0

    @staticmethod
    def request_came(traceparent: str | None) -> None:
        """A request begins to be handled in this task, with this header or without one."""
        caller.set(place_in(traceparent))

    def run_started(self, run: Run) -> None:
        """Note whose trace the run belongs to: its parent's, or its caller's."""
        parent, place = run.info.parent, caller.get()
        if parent is not None:
            outer = self._above.get(parent)
            trace = number_of(parent, 128) if outer is None else outer.trace
            place = Place(trace, number_of(parent, 64), outer is None or outer.sampled)
        self._above[run.id] = place

    def run_finished(self, run: Run) -> None:
        """Have its spans made; cheap."""
        above = self._above.pop(run.id, None)
        if run.superseded or not run.done:
            return  # another replica has its end
        if not self._room.acquire(blocking=False):
            self.dropped += 1
            return
        self._thread.submit(self._send, run, above).add_done_callback(self._sent)

    def _send(self, run: Run, above: Place | None) -> None:
        # Its log is sealed, so that another thread may read it.
        self._sender.send(run.id, above, run.info.created_at, root_of(run), spans_of(run))

    def _sent(self, done: Future[None]) -> None:
        self._room.release()
        if (error := done.exception()) is not None:
            log.error("a trace could not be made", exc_info=error)

    async def close(self) -> None:
        """Send what is left, within seconds. No run ends any more."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def finish() -> None:
            self._thread.shutdown()
            self._sender.close()
            with suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(sent.set)

        # Who listens there may hang, and must not keep the process from its end: hence a daemon.
        Thread(target=finish, name="traces-end", daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await sent.wait()
        except TimeoutError:
            log.warning("the last traces could not be sent in time")
