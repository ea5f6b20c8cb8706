"""HTTP to the service: one pooled session, and every refusal a typed error."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from llm_stream.client.problems import (
    ClientClosed,
    UnexpectedAnswer,
    Unreachable,
    error_of,
    error_of_status,
)
from llm_stream.errors import StreamError

JSON = "application/json"
PROBLEM = "application/problem+json"


class Http:
    """Calls one service. Its session is made by the first call, in the loop of that call.

    Args:
        url: the service's address, without a path.
        key: the client key to show, "" for none.
        connect_seconds: how long a connection may take.
        silence_seconds: how long nothing may arrive; longer than the service's heartbeats are
            apart.
    """

    def __init__(
        self, url: str, key: str, *, connect_seconds: float, silence_seconds: float
    ) -> None:
        self.url = url.rstrip("/")
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.connect_seconds = connect_seconds
        self.silence_seconds = silence_seconds
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, made if there is none; only inside a running loop.

        Raises:
            ClientClosed: after `close`.
        """
        if self._closed:
            raise ClientClosed("The client is closed.")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self.headers,
                # A stream holds a connection as long as it lasts, and there may be any number.
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=self.connect_seconds,
                    sock_read=self.silence_seconds,
                ),
            )
        return self._session

    @asynccontextmanager
    async def response(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        seconds: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response of the service's that is not a refusal, closed on leaving.

        Args:
            method: of HTTP.
            path: with its query.
            headers: further ones.
            body: sent as JSON unless it is None.
            seconds: how long the whole of it may take; None: as long as something arrives.

        Raises:
            StreamError: the service's refusal, by its code.
            Unreachable: no connection, or it broke.
            UnexpectedAnswer: something else has answered.
        """
        more: dict[str, Any] = {}
        if seconds is not None:
            more["timeout"] = aiohttp.ClientTimeout(total=seconds)
        if body is not None:
            more["data"] = orjson.dumps(body)
        sent = {"Content-Type": JSON, **(headers or {})}
        try:
            async with self.session.request(
                method, self.url + path, headers=sent, allow_redirects=False, **more
            ) as response:
                if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                    await _refuse(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(self.url, error) from error

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Any:
        """The decoded JSON of an answer; see `response`."""
        async with self.response(
            method, path, headers=headers, body=body, seconds=seconds
        ) as response:
            text = await response.read()
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise UnexpectedAnswer("The answer is no JSON, and not llm-stream's.") from error

    async def close(self) -> None:
        """Close every connection; there will be none again."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _refuse(response: aiohttp.ClientResponse) -> None:
    if response.content_type == PROBLEM:
        try:
            problem = orjson.loads(await response.read())
        except orjson.JSONDecodeError:
            problem = None
        if isinstance(problem, dict):
            raise error_of(problem)
    raise error_of_status(response.status, response.headers.get("Retry-After", ""))


def unreachable(url: str, error: Exception) -> StreamError:
    """What a failure of a connection means to a reader."""
    if isinstance(error, (aiohttp.InvalidURL, aiohttp.ClientConnectorCertificateError)):
        return UnexpectedAnswer(f"{url} cannot be asked: {type(error).__name__}: {error}")
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return Unreachable(f"{url} fell silent.")
    return Unreachable(f"{url} cannot be reached: {error or type(error).__name__}")
