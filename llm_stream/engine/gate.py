"""A gate: so many inside, so many in the queue, no more; parties that wait take turns."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Protocol

from llm_stream.errors import StreamError, TooManyRuns


class Gate:
    """Lets `slots` passes in at once and keeps up to `queue` waiting.

    Passes of one party go in the order they came; parties, who are clients, go in turn, however
    many passes one of them has waiting. A party that has none here always finds room for one.

    Args:
        slots: passes that may be inside at once, at least 1.
        queue: passes that may wait; one more is refused.
        name: says whose gate it is in the refusal ("this socket", "the service").
    """

    def __init__(self, slots: int, queue: int, name: str) -> None:
        self._free = slots
        self._room = slots + queue
        self._admitted: Counter[str] = Counter()
        self._lines: dict[str, deque[Pass]] = {}
        self.name = name

    @property
    def waiting(self) -> int:
        """Passes in the queue now."""
        return sum(map(len, self._lines.values()))

    @property
    def admitted(self) -> int:
        """Passes inside and in the queue now."""
        return self._admitted.total()

    def admit(self, party: str = "") -> "Pass":
        """Reserve a place, inside or in the queue. The holder must call `leave`.

        Raises:
            TooManyRuns: all slots are busy and the queue is full.
        """
        if self._admitted[party] and self.admitted >= self._room:
            raise self.refusal()
        return self.admit_patiently(party)

    def refusal(self) -> TooManyRuns:
        """What those are told for whom there is no room."""
        return TooManyRuns(
            f"All slots of {self.name} are busy and its queue is full. "
            "Wait for a run to end, then try again.",
            retry_after_ms=1000,
        )

    def admit_patiently(self, party: str = "") -> "Pass":
        """Reserve a place, in the queue also where that is full."""
        self._admitted[party] += 1
        return Pass(self, party)

    def _enter(self, ticket: "Pass") -> int:
        if self._free:
            self._free -= 1
            ticket.inside = True
            return 0
        line = self._lines.setdefault(ticket.party, deque())
        line.append(ticket)
        # In each round every party has one turn.
        return sum(min(len(other), len(line)) for other in self._lines.values())

    def _leave(self, ticket: "Pass") -> None:
        self._admitted[ticket.party] -= 1
        if not self._admitted[ticket.party]:
            del self._admitted[ticket.party]
        if not ticket.inside:
            line = self._lines.get(ticket.party)
            if line is not None and ticket in line:
                line.remove(ticket)
                if not line:
                    del self._lines[ticket.party]
        elif self._lines:
            # The slot goes straight to the next in line: nobody who comes now can take it.
            self._next().grant()
        else:
            self._free += 1

    def _next(self) -> "Pass":
        """The first in line of the party whose turn it is, which then goes to the end."""
        party = next(iter(self._lines))
        line = self._lines.pop(party)
        first = line.popleft()
        if line:
            self._lines[party] = line
        return first


class Pass:
    """One run's place at a gate.

    Attributes:
        party: whose it is.
        on_leave: called when it is given back; must not raise.
    """

    def __init__(self, gate: Gate, party: str) -> None:
        self._gate = gate
        self.party = party
        self._granted: asyncio.Future[None] | None = None
        self._left = False
        self.inside = False
        self.on_leave: Callable[[], object] = _nothing

    async def enter(self, on_wait: Callable[[int], object]) -> None:
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
            self.on_leave()


def _nothing() -> None:
    """Nobody else has to know."""


class Room(Protocol):
    """What lets runs in as a gate does, but may have to ask elsewhere whether it can."""

    async def admit(self, party: str) -> Pass:
        """Reserve a place. The holder must call `leave`.

        Raises:
            TooManyRuns: there is none.
        """


def admit_all(gates: Iterable[Gate], party: str = "") -> list[Pass]:
    """A place for the party at each of these gates, or at none.

    Raises:
        TooManyRuns: one of them has no room.
        StreamError: one of them lets nobody in, for a reason of its own.
    """
    passes: list[Pass] = []
    try:
        for gate in gates:
            passes.append(gate.admit(party))  # noqa: PERF401 - those that were given have to be known
    except StreamError:
        for ticket in passes:
            ticket.leave()
        raise
    return passes
