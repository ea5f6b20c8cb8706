"""aiohttp's runner with connections of ours, which its own sites cannot make."""

import asyncio
import socket
from typing import Any, Final

from aiohttp import web

from llm_stream.web.connection import Connection, Watch

BACKLOG: Final = 1024
"""Connections that the kernel holds until they are accepted."""

ACCEPTED_AT_ONCE: Final = 1
"""Connections accepted in one turn of the loop.

When no descriptor is left asyncio fails, logs and sets a timer as often as this in each turn, and
every one of the timers makes it try again: with more, the timers multiply and the loop drowns.
"""


class Runner(web.AppRunner):
    """Serves an application until `cleanup`, which also ends the watch and closes the socket.

    Args:
        app: the application.
        watch: closes the connections that keep the service waiting; run by this runner.
        options: of `aiohttp.web.AppRunner`.
    """

    __slots__ = ("_listener", "_watch", "_watching")

    def __init__(self, app: web.Application, watch: Watch, **options: Any) -> None:
        super().__init__(app, **options)
        self._watch = watch
        self._listener: asyncio.Server | None = None
        self._watching: asyncio.Task[None] | None = None

    async def listen(self, bound: socket.socket) -> None:
        """Accept connections of a bound socket; after `setup`."""
        server = self.server
        if server is None:
            raise RuntimeError("Call setup() before listen().")
        self._watching = asyncio.create_task(self._watch.run(), name="connections")
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(server, self._watch), sock=bound, backlog=ACCEPTED_AT_ONCE
        )
        bound.listen(BACKLOG)

    async def cleanup(self) -> None:
        """Accept nothing more, let handlers end, close every connection."""
        if self._listener is not None:
            self._listener.close()
        await super().cleanup()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
