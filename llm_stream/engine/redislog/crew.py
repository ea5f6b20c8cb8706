"""Tasks that never end of themselves: one that fails nevertheless is started again."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

PAUSE_SECONDS: Final = 1.0
"""Before the first restart of a task; each that fails again doubles it."""

LONGEST_PAUSE_SECONDS: Final = 60.0

Work = Callable[[], Coroutine[Any, Any, None]]

log = logging.getLogger(__name__)


class Crew:
    """Keeps tasks at work until they are dismissed.

    Args:
        parts: what each does, by its name.
        pause_seconds: before the first restart, how long a task has to last to be well again, and
            how long one that is dismissed has before it is told again.

    Attributes:
        down: names of those that have failed and have not lasted since.
    """

    def __init__(self, parts: Mapping[str, Work], *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._parts = parts
        self._pause_seconds = pause_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self.down: set[str] = set()

    def start(self) -> None:
        """Begin all of them."""
        self._tasks = [
            asyncio.create_task(self._keep(name, work), name=f"replicas-{name}")
            for name, work in self._parts.items()
        ]

    async def dismiss(self) -> None:
        """End all of them.

        One cancel is not enough: the client of Redis sends through `asyncio.wait_for`, which in
        Python 3.11 loses a cancel that comes in the turn in which the sending ends.
        """
        left = {*self._tasks}
        while left:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=self._pause_seconds)

    async def _keep(self, name: str, work: Work) -> None:
        loop = asyncio.get_running_loop()
        pause = self._pause_seconds
        while True:
            well = loop.call_later(pause, self.down.discard, name)
            try:
                began = loop.time()
                await work()
            except Exception:
                # Without it, runs would go on unshared, and nobody would know.
                log.exception("%s crashed", name)
            finally:
                well.cancel()
            self.down.add(name)
            if loop.time() - began > LONGEST_PAUSE_SECONDS:
                pause = self._pause_seconds
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
