"""A first-come-first-served gate: so many inside, so many in the queue, no more."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from llm_stream.errors import TooManyRuns


class Gate:
    """Lets `slots` passes in at once and keeps up to `queue` waiting in order.

    Args:
        slots: passes that may be inside at once, at least 1.
        queue: passes that may wait; one more is refused.
        name: says whose gate it is in the refusal ("this socket", "the service").
    """

    def __init__(self, slots: int, queue: int, name: str) -> None:
        self._free = slots
        self._room = slots + queue
        self._admitted = 0
        self._line: deque[Pass] = deque()
        self.name = name

    @property
    def waiting(self) -> int:
        """Passes in the queue now."""
        return len(self._line)

    def admit(self) -> "Pass":
        """Reserve a place, inside or in the queue. The holder must call `leave`.

        Raises:
            TooManyRuns: all slots are busy and the queue is full.
        """
        if self._admitted >= self._room:
            raise TooManyRuns(
                f"All slots of {self.name} are busy and its queue is full. "
                "Wait for a run to end, then try again.",
                retry_after_ms=1000,
            )
        return self.admit_patiently()

    def admit_patiently(self) -> "Pass":
        """Reserve a place, in the queue also where that is full."""
        self._admitted += 1
        return Pass(self)

    def _enter(self, ticket: "Pass") -> int:
        if self._free:
            self._free -= 1
            ticket.inside = True
            return 0
        self._line.append(ticket)
        return len(self._line)

    def _leave(self, ticket: "Pass") -> None:
        self._admitted -= 1
        if not ticket.inside:
            if ticket in self._line:
                self._line.remove(ticket)
        elif self._line:
            # The slot goes straight to the next in line: nobody who comes now can take it.
            self._line.popleft().grant()
        else:
            self._free += 1


class Pass:
    """One run's place at a gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._granted: asyncio.Future[None] | None = None
        self._left = False
        self.inside = False

    async def enter(self, on_wait: Callable[[int], None]) -> None:
        """Wait for a slot; `on_wait(position)` is called once if there is none at once.

        Position counts from 1, the next to go. After cancellation `leave` gives the
        place back, whether a slot had been granted meanwhile or not.
        """
        position = self._gate._enter(self)  # noqa: SLF001 - gate and pass are one thing
        if position:
            self._granted = asyncio.get_running_loop().create_future()
            on_wait(position)
            await self._granted

    def grant(self) -> None:
        """Hand the slot over; called by the gate."""
        self.inside = True
        if self._granted is not None and not self._granted.done():
            self._granted.set_result(None)

    def leave(self) -> None:
        """Give the place back. Idempotent."""
        if not self._left:
            self._left = True
            self._gate._leave(self)  # noqa: SLF001 - gate and pass are one thing


def admit_all(gates: Iterable[Gate]) -> list[Pass]:
    """A place at each of these gates, or at none.

    Raises:
        TooManyRuns: one of them has no room.
    """
    passes: list[Pass] = []
    try:
        for gate in gates:
            passes.append(gate.admit())  # noqa: PERF401 - those that were given have to be known
    except TooManyRuns:
        for ticket in passes:
            ticket.leave()
        raise
    return passes
