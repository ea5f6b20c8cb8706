"""One pooled HTTP client for all providers of the process.

Connections are kept and used again; TLS is set up once, when aiohttp is imported, and not once a
prompt. No redirect is followed and no proxy of the environment is used, so that a key reaches the
address it was configured for and no other.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp

from llm_stream.errors import UpstreamFailed, UpstreamRejected, UpstreamTimedOut
from llm_stream.models.faults import scrub
from llm_stream.models.wires.refusals import refusal

KEEP_ALIVE_SECONDS: Final = 60
"""How long an idle connection is kept."""

ERROR_BYTES: Final = 65_536
ERROR_SECONDS: Final = 5
"""How much of a refusal's body is read, and for how long."""

DRAIN_BYTES: Final = 65_536
DRAIN_SECONDS: Final = 1
"""What may follow an answer that is whole; beyond it the connection is not worth keeping."""

MAX_BODY_BYTES: Final = 33_554_432
"""The largest answer that is read in one piece."""


Heard = Callable[[Mapping[str, str]], None]
"""Is told the headers of an answer."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request: `url` is a configured base and a path of ours, `headers` hold the key.

    Without a `body` it is a GET. `accept` is the media type the answer must have;
    `connect_seconds` is the limit for name, connection and TLS together. `heard` is told the
    headers of the answer, whatever its status.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes | None
    accept: str
    connect_seconds: float = 10.0
    heard: Heard | None = None


class Upstream:
    """An answer that has begun, with status 200 and the expected content type."""

    def __init__(self, response: aiohttp.ClientResponse, model_id: str) -> None:
        self._response = response
        self._model_id = model_id
        self.whole = False
        """Set it when nothing more is wanted: the connection is kept if it ends soon."""

    async def read(self) -> bytes:
        """The next block of bytes, as it came; empty at the clean end of the body.

        Raises:
            UpstreamFailed: the connection broke (the upstream's doing).
        """
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamFailed(
                f"{self._model_id}: the connection broke ({type(error).__name__})"
            ) from error

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            UpstreamFailed: the connection broke, or the body is over its bound.
        """
        blocks: list[bytes] = []
        size = 0
        while block := await self.read():
            blocks.append(block)
            size += len(block)
            if size > MAX_BODY_BYTES:
                raise UpstreamFailed(f"{self._model_id}: the answer is too large")
        return b"".join(blocks)


class Transport:
    """Sends requests; one a process is meant. Made anywhere, used on one event loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._drains: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def send(self, request: Outgoing, model_id: str) -> AsyncIterator[Upstream]:
        """Send a request and wait for the head of its answer.

        Leaving early, by an exception, a cancellation or a plain exit, closes the connection
        before this returns, unless `Upstream.whole` was set.

        Args:
            request: what is sent, and where.
            model_id: begins the details of errors.

        Raises:
            UpstreamTimedOut: no connection within `connect_seconds` (the upstream's doing).
            UpstreamFailed: no connection, or an answer of another type (the upstream's doing).
            StreamError: what a status other than 200 stands for, see `refusals`.
        """
        try:
            response = await self._open().request(
                "GET" if request.body is None else "POST",
                request.url,
                data=request.body,
                headers={
                    "Content-Type": "application/json",
                    "Accept": request.accept,
                    **request.headers,
                },
                allow_redirects=False,
                # How long an answer may take is the caller's to say, see `models/timers`.
                timeout=aiohttp.ClientTimeout(total=None, connect=request.connect_seconds),
            )
        except aiohttp.ConnectionTimeoutError as error:
            raise UpstreamTimedOut(
                f"{model_id}: no connection to the provider within connect_seconds ="
                f" {request.connect_seconds:g}. Try again, or be more patient.",
                field="timeouts.connect_seconds",
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamFailed(
                f"{model_id}: no answer from the provider: {_reason(error)}"
            ) from error
        upstream = Upstream(response, model_id)
        try:
            if request.heard is not None:
                request.heard(response.headers)
            await _accept(response, request.accept, model_id)
            yield upstream
        finally:
            if upstream.whole and not response.content.at_eof():
                drain = asyncio.create_task(_drain(response), name="drain")
                self._drains.add(drain)
                drain.add_done_callback(self._drains.discard)
                # Not in the task: one that is cancelled at once never begins.
                drain.add_done_callback(lambda _: response.close())
            else:
                # Back in the pool if the body has ended, else closed for good.
                response.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # How many calls run at once is decided by limits of ours, not here.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
                # Compressed tokens come late and cost more.
                headers={"Accept-Encoding": "identity", "User-Agent": "llm-stream"},
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close every connection; those in use break. For good only if nothing is sent again."""
        for drain in self._drains:
            drain.cancel()
        await asyncio.gather(*self._drains, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _accept(response: aiohttp.ClientResponse, accept: str, model_id: str) -> None:
    """Let an answer of the right kind pass.

    Raises:
        StreamError: it is a refusal, a redirect, or of another media type.
    """
    if 300 <= response.status < 400:
        redirected = UpstreamRejected(
            f"{model_id}: the provider's address redirects ({response.status}); redirects are not"
            " followed, because they would take the key along. Correct base_url."
        )
        redirected.status = response.status
        raise redirected
    if response.status != 200:
        body = await _some_of(response)
        raise refusal(response.status, response.headers, body, model_id)
    if response.content_type != accept:
        text = scrub((await _some_of(response)).decode("utf-8", "replace"))
        raise UpstreamFailed(
            f"{model_id}: the provider answered {scrub(response.content_type)}, not {accept}:"
            f" {text[:200]}"
        )


async def _some_of(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of a body that only serves to say what is wrong."""
    body = b""
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            async with aclosing(_blocks(response)) as blocks:
                async for block in blocks:
                    body += block
                    if len(body) >= ERROR_BYTES:
                        break
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass  # the status has been said; this would only have explained it
    return body[:ERROR_BYTES]


async def _blocks(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    while block := await response.content.readany():
        yield block


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read what follows a whole answer, so that its connection can be used again."""
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0 and (block := await response.content.readany()):
                left -= len(block)
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass  # it is closed all the same


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return scrub(error.strerror or error.os_error.__class__.__name__)
    return type(error).__name__
