"""Commands of one socket that are under way side by side, and answered in the order they came.

A start waits for the cache, which may be a thread or a Redis away. One after the other, so many
starts would each wait for the one before; here they look at once, and begin in their turn.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

AT_ONCE: Final = 8
"""Commands of all sockets under way; beyond, each socket has one. More at once would make turns of
the loop so long that streams, which need several for a token, falter."""


class Crossing:
    """How many commands of all sockets of a service are under way."""

    __slots__ = ("busy",)

    def __init__(self) -> None:
        self.busy = 0


class Turn:
    """One command's place in the line.

    Args:
        before: the command whose end makes it this one's turn; None: nobody is before it.
    """

    __slots__ = ("_before",)

    def __init__(self, before: asyncio.Task[None] | None = None) -> None:
        self._before = before

    async def come(self) -> bool:
        """Return when all that came earlier are answered; whether that had to be waited for."""
        before, self._before = self._before, None
        if before is None or before.done():
            return False
        # Awaited by itself it would be cancelled with this one.
        await asyncio.wait((before,))
        return True


class Line:
    """Commands under way. Each is to wait for its turn before it is answered.

    Args:
        crossing: what all lines share.

    Attributes:
        waiting: their tasks, the oldest first; whoever closes the socket cancels them.
    """

    __slots__ = ("_crossing", "waiting")

    def __init__(self, crossing: Crossing) -> None:
        self._crossing = crossing
        self.waiting: list[asyncio.Task[None]] = []

    async def enter(self, command: Callable[[Turn], Coroutine[Any, Any, None]]) -> None:
        """Begin a command, beside those under way if they are not too many."""
        while self.waiting and self._crossing.busy >= AT_ONCE:
            await asyncio.wait((self.waiting[0],))
        turn = Turn(self.waiting[-1] if self.waiting else None)
        task = asyncio.create_task(command(turn))
        self.waiting.append(task)
        self._crossing.busy += 1
        task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self.waiting.remove(task)
        self._crossing.busy -= 1

    async def empty(self) -> None:
        """Return when all commands that have entered are answered."""
        while self.waiting:
            await asyncio.wait((self.waiting[-1],))
