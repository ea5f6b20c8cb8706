"""Accepts connections: many in a turn of the loop, and none for a moment where it cannot."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

BACKLOG: Final = 4096
"""Connections that the kernel holds until they are accepted; it resets what is beyond."""

ACCEPTED_AT_ONCE: Final = 64
"""Connections accepted in one turn of the loop, so that those that are there get their turn."""

PAUSE_SECONDS: Final = 1.0
"""How long nothing is accepted after the system had no room for a connection."""

NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What is wrong when the system cannot take a connection. Source: accept(2)."""

log = logging.getLogger(__name__)


class Listener:
    """Accepts what comes to one socket, and owns it.

    Not the loop's own server: uvloop accepts one connection a turn, so that a loop with much to do
    lets the kernel's queue run over, and resets clients instead of refusing them; asyncio, where no
    descriptor is free, sets a timer and writes a traceback for each one it could not accept.

    Args:
        bound: a bound TCP socket that does not block.
        make: makes the protocol of a connection.
    """

    def __init__(self, bound: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        self._bound = bound
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept from now on."""
        self._bound.listen(BACKLOG)
        self._resume()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, _ = self._bound.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in NO_ROOM:
                    continue  # it has left while it waited, or its network is at fault
                log.warning("accept.failed: %s", error.strerror)
                self._loop.remove_reader(self._bound)
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._resume)
                return
            accepted.setblocking(False)  # noqa: FBT003 - the standard library's signature
            task = self._loop.create_task(self._open(accepted), name="connection")
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, accepted)
        except OSError:
            accepted.close()  # it has left meanwhile

    async def close(self) -> None:
        """Accept who waits, who believes to be connected; then nobody any more."""
        if self._pause is not None:
            self._pause.cancel()
        else:
            self._loop.remove_reader(self._bound)
            waiting = -1
            while waiting != len(self._opening):
                waiting = len(self._opening)
                self._accept()
            if self._pause is not None:
                self._pause.cancel()
        self._bound.close()
        await asyncio.gather(*self._opening)
