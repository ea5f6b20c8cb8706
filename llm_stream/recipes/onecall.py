"""One call of one model, in its turn and within its limits."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.chunks import Chunk, ModelCall
from llm_stream.models.resilience.places import Admission
from llm_stream.models.resilience.upstream import Attempt
from llm_stream.models.timers import Timeouts, Watch


class OneCall:
    """A call that is still to be made.

    Args:
        adapter: the model's.
        asked: what it is asked.
        timeouts: how long it has.
        admission: the places it needs.
        attempt: what is to know how it went.

    Attributes:
        adapter: the model's.
        ahead: how many calls are before it in the longest queue it has to stand in; 0 = none.
        shown: set it once readers have something of it.
    """

    __slots__ = ("_admission", "_asked", "_attempt", "_watch", "adapter", "ahead", "shown")

    def __init__(
        self,
        adapter: ModelAdapter,
        asked: ModelCall,
        timeouts: Timeouts,
        admission: Admission,
        attempt: Attempt,
    ) -> None:
        self.adapter = adapter
        self.ahead = max(admission.ahead, adapter.ahead)
        self.shown = False
        self._asked = asked
        self._admission = admission
        self._attempt = attempt
        self._watch = Watch(timeouts, adapter.id)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncGenerator[Sequence[Chunk]]]:
        """Wait for its turn and make it; leaving ends it. `note` each batch that comes.

        Raises:
            StreamError: nothing may be sent, or it fails, or a timer runs out.
        """
        async with self._admission, self.adapter.turn() as turn:
            with self._attempt:
                async with (
                    self._watch,
                    aclosing(self.adapter.stream(self._asked, turn)) as batches,
                ):
                    yield batches

    def note(self, chunks: Sequence[Chunk]) -> None:
        """A batch has come."""
        self._watch.touch()
        if (speed := self._watch.speed) is not None:
            for chunk in chunks:
                speed.count(chunk)
        if not self.shown:
            self._attempt.has_begun()
