"""How many calls of a model, or of a provider, there may be at the same time."""

import asyncio
from collections import deque
from types import TracebackType


class Places:
    """So many calls at once, the others in line; and fewer where a provider says so.

    Args:
        limit: calls at once; None = any number.
        max_pause_seconds: how long a provider's word counts at most.
    """

    def __init__(self, limit: int | None = None, max_pause_seconds: float = 60.0) -> None:
        self._limit = limit
        self._max_pause_seconds = max_pause_seconds
        self._line: deque[asyncio.Future[None]] = deque()
        self._remaining: int | None = None
        self._reset: asyncio.TimerHandle | None = None
        self.busy = 0

    @property
    def waiting(self) -> int:
        """Calls in line now."""
        return len(self._line)

    @property
    def idle(self) -> bool:
        """Whether nobody has a place or waits for one, and nothing holds them back."""
        return not self.busy and not self._line and self._reset is None

    @property
    def ahead(self) -> int:
        """Which place in line a new call would get, from 1; 0: it need not wait."""
        return 0 if self._is_free() and not self._line else len(self._line) + 1

    def _is_free(self) -> bool:
        return (self._limit is None or self.busy < self._limit) and self._remaining != 0

    def _take(self) -> None:
        self.busy += 1
        if self._remaining:
            self._remaining -= 1

    async def enter(self) -> None:
        """Wait for a place, which has to be given back by `leave`; a cancelled wait has none."""
        if not self.ahead:
            self._take()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._line.remove(turn)
            else:
                # The place came in the very turn of the cancel.
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back; the next in line has it at once."""
        self.busy -= 1
        self._let_in()

    def _let_in(self) -> None:
        # A waiter that was cancelled takes itself out of the line when it runs.
        for turn in [turn for turn in self._line if not turn.done()]:
            if not self._is_free():
                return
            self._line.remove(turn)
            self._take()
            turn.set_result(None)

    def note(self, remaining: int, reset_seconds: float) -> None:
        """A provider has said how many calls it will take until its limit is reset.

        Args:
            remaining: calls, from now on.
            reset_seconds: from now; counts up to `max_pause_seconds`, so that an absurd value
                stops nobody for long.
        """
        if self._reset is not None:
            self._reset.cancel()
        self._remaining = max(0, remaining)
        pause = min(max(0.0, reset_seconds), self._max_pause_seconds)
        self._reset = asyncio.get_running_loop().call_later(pause, self._forget)
        self._let_in()

    def _forget(self) -> None:
        self._remaining = self._reset = None
        self._let_in()


class Admission:
    """All places that one call needs, in their order; `async with` it around the call."""

    __slots__ = ("_held", "_places")

    def __init__(self, *places: Places) -> None:
        self._places = places
        self._held: list[Places] = []

    @property
    def ahead(self) -> int:
        """The longest line it would have to join, as `Places.ahead`."""
        return max(each.ahead for each in self._places)

    async def __aenter__(self) -> None:
        try:
            for each in self._places:
                await each.enter()
                self._held.append(each)
        except asyncio.CancelledError:
            self._leave()
            raise

    def _leave(self) -> None:
        while self._held:
            self._held.pop().leave()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()
