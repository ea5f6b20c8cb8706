"""Runs over Server-Sent Events: a connection a stream."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson

from llm_stream.client.http import Http, unreachable
from llm_stream.client.problems import UnexpectedAnswer
from llm_stream.client.wire import Beat, Frame, Gap, GoAway, Opened, Told
from llm_stream.eventstream import LineTooLong, SseParser
from llm_stream.payloads import TERMINAL_TYPES

EVENT_STREAM: Final = "text/event-stream"

MAX_EVENT_BYTES: Final = 64 * 1_048_576
"""Of one event; a result is one."""

END_SECONDS: Final = 1.0
"""How long the end of a response behind its last event may take."""

LEAVE_SECONDS: Final = 5.0
"""How long telling the service that a run is not wanted may take."""


class SseFeed:
    """A response that streams one run; see `Feed`."""

    def __init__(
        self, url: str, response: aiohttp.ClientResponse, opened: Opened, stack: AsyncExitStack
    ) -> None:
        self.opened = opened
        self._url = url
        self._response = response
        self._stack = stack
        self._ended = False

    async def frames(self) -> AsyncIterator[Frame]:
        """See `Feed.frames`."""
        parser = SseParser(MAX_EVENT_BYTES)
        try:
            async for block in self._response.content.iter_any():
                for data in parser.feed(block):
                    told: Told = orjson.loads(data)
                    # What is of the run has an id; what is about the stream has a name instead.
                    if "id" in told:
                        self._ended = told["type"] in TERMINAL_TYPES
                        yield told
                    elif "first" in told:
                        yield Gap(told["after"], told["first"])
                    elif "reconnect_after_ms" in told:
                        yield GoAway(told["reconnect_after_ms"])
                    else:
                        yield Beat()
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            # aiohttp's word for a session that was closed meanwhile is a RuntimeError.
            raise unreachable(self._url, error) from error
        except (LineTooLong, orjson.JSONDecodeError) as error:
            raise UnexpectedAnswer("The stream is not one of llm-stream's.") from error

    async def close(self) -> None:
        """See `Feed.close`.

        Behind the last event only the response's end comes. It is read, so that the connection is
        used again, and the service does not take a reader that has all for one that went away.
        """
        try:
            if self._ended:
                with suppress(aiohttp.ClientError, TimeoutError, OSError, RuntimeError):
                    async with asyncio.timeout(END_SECONDS):
                        await self._response.content.read()
        finally:
            await self._stack.aclose()


class SseWire:
    """See `Wire`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def start(self, recipe: str, body: Mapping[str, Any], key: str) -> SseFeed:
        """See `Wire.start`."""
        headers = {"Accept": EVENT_STREAM, "Idempotency-Key": key}
        response = self._http.response("POST", f"/v1/{recipe}", headers=headers, body=body)
        return await self._feed(response, "")

    async def follow(self, run: str, after: str) -> SseFeed | None:
        """See `Wire.follow`."""
        headers = {"Accept": EVENT_STREAM, "Last-Event-ID": after}
        response = self._http.response(
            "GET", f"/v1/runs/{quote(run, safe='')}/events", headers=headers
        )
        feed = await self._feed(response, run)
        if feed.opened.run:
            return feed
        await feed.close()
        return None

    async def _feed(
        self, making: AbstractAsyncContextManager[aiohttp.ClientResponse], run: str
    ) -> SseFeed:
        async with AsyncExitStack() as stack:
            response = await stack.enter_async_context(making)
            told = response.headers
            if response.status == HTTPStatus.NO_CONTENT:
                opened = Opened("", "", "")
            elif response.content_type == EVENT_STREAM and (run := told.get("X-Run-Id", run)):
                opened = Opened(run, cache_of(told), told.get("X-Run-Claim", ""))
            else:
                raise UnexpectedAnswer("The answer is no stream, and not llm-stream's.")
            return SseFeed(self._http.url, response, opened, stack.pop_all())

    async def leave(self, opened: Opened, *, ended: bool) -> None:
        """See `Wire.leave`."""
        if ended:
            return
        claim = f"?claim={quote(opened.claim)}" if opened.claim else ""
        path = f"/v1/runs/{quote(opened.run, safe='')}/cancel{claim}"
        await self._http.call("POST", path, seconds=LEAVE_SECONDS)

    async def close(self) -> None:
        """See `Wire.close`; the connections are those of `Http`."""


def cache_of(headers: Mapping[str, str]) -> str:
    """`miss`, `hit`, `joined` or `bypass`, of a `Cache-Status`; "" without one."""
    words = [word.strip() for word in headers.get("Cache-Status", "").split(";")[1:]]
    if "collapsed" in words:
        return "joined"
    return words[0].removeprefix("fwd=") if words else ""
