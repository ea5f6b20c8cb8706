"""Runs over one shared WebSocket, made anew when it is lost."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from llm_stream.client.http import Http
from llm_stream.client.problems import ClientClosed, Unreachable
from llm_stream.client.socket import Link
from llm_stream.client.socketfeed import SocketFeed
from llm_stream.client.wire import Opened
from llm_stream.errors import StreamError

LEAVE_SECONDS: Final = 5.0
"""How long telling the service that a run is not wanted may take."""


class SocketWire:
    """See `Wire`. A start that was not answered is sent again: an equal run under way is joined."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._link: Link | None = None
        self._old: set[Link] = set()
        self._connecting = asyncio.Lock()
        self._wanted: Counter[Opened] = Counter()
        self._closed = False

    async def start(self, recipe: str, body: Mapping[str, Any], key: str) -> SocketFeed:
        """See `Wire.start`; the socket knows no keys, equal runs are shared by their content."""
        link = await self._connected()
        name = link.name()
        command = {"type": "start", "stream": name, "recipe": recipe, "input": dict(body)}
        try:
            feed = await link.open(command, name)
        except StreamError as error:
            error.field = error.field and error.field.removeprefix("input.")
            raise
        self._wanted[_claim(feed.opened)] += 1
        return feed

    async def follow(self, run: str, after: str) -> SocketFeed:
        """See `Wire.follow`."""
        link = await self._connected()
        name = link.name()
        wanted = {"stream": name, "run": run, "after": after}
        return await link.open({"type": "subscribe", "streams": [wanted]}, name)

    async def leave(self, opened: Opened, *, ended: bool) -> None:
        """See `Wire.leave`.

        The claim on a run is its socket's. It is given up when nobody here wants the run any more;
        it went with the socket if that was lost, and then the run ends by its own policy.
        """
        claim = _claim(opened)
        self._wanted[claim] -= 1
        if self._wanted[claim] > 0:
            return
        del self._wanted[claim]
        link = next((each for each in self._links() if each.token == opened.claim), None)
        if ended or link is None or link.lost:
            return
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await link.ask({"type": "cancel", "run": opened.run})
        except TimeoutError as error:
            raise Unreachable("The cancel was not answered.", run=opened.run) from error

    async def close(self) -> None:
        """See `Wire.close`."""
        self._closed = True
        async with self._connecting:
            links, self._link, self._old = self._links(), None, set()
            for link in links:
                await link.close()

    def _links(self) -> list[Link]:
        return [*self._old, *([self._link] if self._link is not None else [])]

    async def _connected(self) -> Link:
        async with self._connecting:
            if self._closed:
                raise ClientClosed("The client is closed.")
            for old in [each for each in self._old if each.lost or each.idle]:
                self._old.remove(old)
                await old.close()
            if self._link is not None and (self._link.leaving or self._link.lost):
                # What is read from it is read on; the service closes it when that has ended.
                self._old.add(self._link)
                self._link = None
            if self._link is None:
                self._link = await Link.connect(self._http)
            return self._link


def _claim(opened: Opened) -> Opened:
    """What a socket's claim on a run goes by."""
    return opened._replace(cache="")
