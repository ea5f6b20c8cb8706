"""Cancelling a task that may not want to end, which may be a plugin's fault."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

INSIST_SECONDS: Final = 1.0
"""How long a cancelled task has to end before it is cancelled again."""

INSIST_TIMES: Final = 3
"""Cancels in all; then one goes on without the task."""


def _nothing() -> None:
    """Nobody waits for the task."""


class Insistence:
    """Cancels once, then twice more a second apart; then calls `give_up`."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, task: asyncio.Task[Any]) -> bool:
        """Cancel the task; whether that could be asked of it."""
        self._wait(task, 1)
        return task.cancel()

    def _wait(self, task: asyncio.Task[Any], times: int) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(INSIST_SECONDS, self._again, task, times)

    def _again(self, task: asyncio.Task[Any], times: int) -> None:
        if times < INSIST_TIMES:
            task.cancel()
            self._wait(task, times + 1)
        else:
            self._give_up()

    def end(self) -> None:
        """The task has ended, or nobody waits for it any more."""
        self._give_up = _nothing  # it holds the run, and the run holds this
        if self._timer is not None:
            self._timer.cancel()
