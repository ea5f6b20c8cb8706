"""One pooled HTTP client for all providers of the process.

No redirect is followed and no proxy of the environment is used, so that a key reaches the
address it was configured for and no other.
"""

import asyncio
import os
import socket
import ssl
from typing import Final

from llm_stream.errors import StreamError, UpstreamFailed, UpstreamRejected, UpstreamTimedOut
from llm_stream.models.faults import scrub
from llm_stream.models.wires.connection import Connection
from llm_stream.models.wires.outgoing import Outgoing
from llm_stream.models.wires.pool import Place, Pool, Target, target_of
from llm_stream.models.wires.refusals import refusal
from llm_stream.models.wires.upstream import Upstream

ERROR_BYTES: Final = 65_536
ERROR_SECONDS: Final = 5
"""How much of a refusal's body is read, and for how long."""

DRAIN_BYTES: Final = 65_536
DRAIN_SECONDS: Final = 1
"""What may follow an answer that is whole; beyond it the connection is not worth keeping."""


class Transport:
    """Sends requests; one a process is meant. Made anywhere, used on one event loop.

    Args:
        pool: its connections; the system's trust and the usual times, unless told otherwise.
    """

    def __init__(self, pool: Pool | None = None) -> None:
        self._pool = pool or Pool()
        self._drains: set[asyncio.Task[None]] = set()

    def send(self, request: Outgoing, model_id: str) -> "Exchange":
        """Send a request and wait for the head of its answer, when it is entered (`async with`).

        Leaving early, by an exception, a cancellation or a plain exit, closes the connection
        before this returns, unless `Upstream.whole` was set.

        Args:
            request: what is sent, and where.
            model_id: begins the details of errors.

        Raises:
            UpstreamTimedOut: no connection within `connect_seconds` (the upstream's doing).
            UpstreamFailed: no connection, or an answer of another type (the upstream's doing); its
                address or a header is none (the operator's).
            StreamError: what a status other than 200 stands for, see `refusals`.
        """
        return Exchange(self, request, model_id)

    async def answering(
        self, request: Outgoing, target: Target, head: bytes, model_id: str
    ) -> Connection:
        """A connection on which the head of the answer has come; to be let go of."""
        kept = self._pool.idle(target.place)
        while True:
            connection = kept or await self._connect(
                target.place, request.connect_seconds, model_id
            )
            try:
                connection.ask(head, request.body or b"", model_id)
                # How long an answer may take is the caller's to say, see `models/timers`.
                await connection.answered()
            except UpstreamFailed:
                connection.close()
                # A kept one may just have been closed. A POST may have been paid for all the same.
                if kept is None or request.body is not None:
                    raise
                kept = None
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    async def _connect(self, place: Place, seconds: float, model_id: str) -> Connection:
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._pool.connect(place)
        except (OSError, RuntimeError) as error:  # uvloop's word for a socket that is in use
            if limit.expired():
                raise UpstreamTimedOut(
                    f"{model_id}: no connection to the provider within connect_seconds ="
                    f" {seconds:g}. Try again, or be more patient.",
                    field="timeouts.connect_seconds",
                ) from error
            raise UpstreamFailed(
                f"{model_id}: no answer from the provider: {_reason(error)}"
            ) from error

    def let_go(self, place: Place, connection: Connection, *, whole: bool) -> None:
        """Nobody wants more of an answer; if it was whole, its connection is kept."""
        if not whole or connection.ended:
            self._pool.put_back(place, connection)
            return
        drain = asyncio.create_task(_drain(connection), name="drain")
        self._drains.add(drain)
        drain.add_done_callback(self._drains.discard)
        # Not in the task: one that is cancelled at once never begins.
        drain.add_done_callback(lambda _: self._pool.put_back(place, connection))

    async def close(self) -> None:
        """Close every connection; those in use break. For good only if nothing is sent again."""
        for drain in self._drains:
            drain.cancel()
        await asyncio.gather(*self._drains, return_exceptions=True)
        await self._pool.close()


class Exchange:
    """A request and its answer: entered when the head has come, left when no more is wanted.

    Once only. A class, not a generator: there is one for each stream, and a frame is half a KiB.
    """

    __slots__ = ("_connection", "_model_id", "_place", "_request", "_transport", "_upstream")

    def __init__(self, transport: Transport, request: Outgoing, model_id: str) -> None:
        self._transport = transport
        self._request = request
        self._model_id = model_id

    async def __aenter__(self) -> Upstream:
        request, model_id = self._request, self._model_id
        del self._request  # a copy of all that is asked, for as long as the answer takes
        try:
            target = target_of(request.url)
            head = request.head(target)
        except ValueError as error:
            raise UpstreamFailed(f"{model_id}: the request cannot be sent: {error}") from error
        connection = await self._transport.answering(request, target, head, model_id)
        try:
            if request.heard is not None:
                request.heard(connection.headers)
            upstream = Upstream(connection, model_id)
            await _accept(connection, upstream, request.accept, model_id)
        except BaseException:
            self._transport.let_go(target.place, connection, whole=False)
            raise
        connection.headers = {}  # often some KiB, of which nobody wants more
        self._place, self._connection, self._upstream = target.place, connection, upstream
        return upstream

    async def __aexit__(self, *_: object) -> None:
        self._transport.let_go(self._place, self._connection, whole=self._upstream.whole)


async def _accept(connection: Connection, upstream: Upstream, accept: str, model_id: str) -> None:
    """Let an answer of the right kind pass.

    Raises:
        StreamError: it is a refusal, a redirect, or of another media type.
    """
    status = connection.status
    if 300 <= status < 400:
        redirected = UpstreamRejected(
            f"{model_id}: the provider's address redirects ({status}); redirects are not"
            " followed, because they would take the key along. Correct base_url."
        )
        redirected.status = status
        raise redirected
    if status != 200:
        raise refusal(status, connection.headers, await _some_of(upstream), model_id)
    media_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != accept:
        text = scrub((await _some_of(upstream)).decode("utf-8", "replace"))
        raise UpstreamFailed(
            f"{model_id}: the provider answered {scrub(media_type) or 'no type'}, not {accept}:"
            f" {text[:200]}"
        )


async def _some_of(upstream: Upstream) -> bytes:
    """The beginning of a body that only serves to say what is wrong."""
    body = b""
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            while len(body) < ERROR_BYTES and (block := await upstream.read()):
                body += block
    except (TimeoutError, StreamError):
        pass  # the status has been said; this would only have explained it
    return body[:ERROR_BYTES]


async def _drain(connection: Connection) -> None:
    """Read what follows a whole answer, so that its connection can be used again."""
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0 and (block := await connection.read()):
                left -= len(block)
    except (TimeoutError, StreamError):
        pass  # it is closed all the same


def _reason(error: Exception) -> str:
    """Why there is no connection, without the address, which is nobody else's business."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.partition(", certificate is not valid")[0]
        return f"its certificate does not prove who it is ({scrub(why)})"
    if isinstance(error, (socket.gaierror, ssl.SSLError)):
        return scrub(error.strerror or type(error).__name__)
    code = error.errno if isinstance(error, OSError) else None
    return os.strerror(code) if code else type(error).__name__
