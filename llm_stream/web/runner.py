"""aiohttp's runner with connections of ours, which its own sites cannot make."""

import asyncio
import socket
from typing import Any

from aiohttp import web

from llm_stream.web.connection import Connection, Express
from llm_stream.web.listener import Listener
from llm_stream.web.watch import Watch


class Runner(web.AppRunner):
    """Serves an application until `cleanup`, which also ends the watch and closes the socket.

    Args:
        app: the application.
        watch: closes the connections that keep the service waiting; run by this runner.
        express: answers what can be answered at once.
        options: of `aiohttp.web.AppRunner`.
    """

    __slots__ = ("_express", "_listener", "_watch", "_watching")

    def __init__(
        self, app: web.Application, watch: Watch, express: Express, **options: Any
    ) -> None:
        super().__init__(app, **options)
        self._express = express
        self._watch = watch
        self._listener: Listener | None = None
        self._watching: asyncio.Task[None] | None = None

    def listen(self, bound: socket.socket) -> None:
        """Accept connections of a bound socket; after `setup`."""
        server = self.server
        if server is None:
            raise RuntimeError("Call setup() before listen().")
        self._watching = asyncio.create_task(self._watch.run(), name="connections")
        self._listener = Listener(bound, lambda: Connection(server, self._watch, self._express))
        self._listener.start()

    async def cleanup(self) -> None:
        """Accept nothing more, let handlers end, close every connection."""
        try:
            if self._listener is not None:
                await self._listener.close()
            await super().cleanup()
        finally:
            if self._watching is not None:
                self._watching.cancel()
                await asyncio.gather(self._watching, return_exceptions=True)
