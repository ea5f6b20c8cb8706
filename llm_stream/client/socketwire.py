"""Runs over one shared WebSocket, made anew when it is lost."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from llm_stream.client.http import Http
from llm_stream.client.problems import Unreachable
from llm_stream.client.socket import Link, SocketFeed
from llm_stream.client.wire import Opened
from llm_stream.errors import StreamError

LEAVE_SECONDS: Final = 5.0
"""How long telling the service that a run is not wanted may take."""


class SocketWire:
    """See `Wire`. A start that was not answered is sent again: an equal run under way is joined."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._link: Link | None = None
        self._connecting = asyncio.Lock()

    async def start(self, recipe: str, body: Mapping[str, Any], key: str) -> SocketFeed:
        """See `Wire.start`; the socket knows no keys, equal runs are shared by their content."""
        link = await self._connected()
        name = link.name()
        command = {"type": "start", "stream": name, "recipe": recipe, "input": dict(body)}
        try:
            return await link.open(command, name)
        except StreamError as error:
            error.field = error.field and error.field.removeprefix("input.")
            raise

    async def follow(self, run: str, after: str) -> SocketFeed:
        """See `Wire.follow`."""
        link = await self._connected()
        name = link.name()
        wanted = {"stream": name, "run": run, "after": after}
        return await link.open({"type": "subscribe", "streams": [wanted]}, name)

    async def cancel(self, opened: Opened) -> None:
        """See `Wire.cancel`."""
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                link = await self._connected()
                await link.ask({"type": "cancel", "run": opened.run})
        except TimeoutError as error:
            raise Unreachable("The cancel was not answered.", run=opened.run) from error

    async def close(self) -> None:
        """See `Wire.close`."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _connected(self) -> Link:
        async with self._connecting:
            if self._link is None or self._link.lost is not None:
                await self.close()
                self._link = await Link.connect(self._http)
            return self._link
