"""One client's connection to the server.

A request whose answer is at hand is answered here, before aiohttp has seen it (`web/express`).
What is waited for while a handler runs is that handler's business: `web/negotiation` bounds the
body, `web/pulse` the writes of a stream. Here is what comes before, between and after.
"""

import asyncio
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from aiohttp import StreamReader, hdrs, web

from llm_stream.errors import InternalError, InvalidHttp, RequestTimedOut, StreamError
from llm_stream.naming import token
from llm_stream.web.boundary import Boundary
from llm_stream.web.headers import set_headers
from llm_stream.web.masking import FrameReader, MaskedFrames
from llm_stream.web.problems import problem, problem_response
from llm_stream.web.watch import Fault, Watch

KEEPALIVE_SECONDS: Final = 75
"""How long a connection on which nothing is asked is kept."""

HOLD_SECONDS: Final = 0.05
"""How long the head of a known request waits for its body, which clients may send by itself."""

Express = Callable[[bytes], bytes | None]
"""Bytes of a request -> a whole answer; empty: it has to see what is missing of the request; None:
the request takes the usual way."""

log = structlog.get_logger("llm_stream.request")


class Connection(web.RequestHandler):
    """aiohttp's connection, which knows since when it waits for a request.

    Args:
        server: aiohttp's.
        watch: looks at it.
        express: answers what can be answered at once.

    Attributes:
        answering: whether a handler has the request; then nothing is watched here.
        boundary: where requests end.
    """

    __slots__ = (
        "_begun", "_due", "_express", "_held", "_moved", "_rest", "_unsent",
        "_used", "_watch", "_wire", "answering", "boundary",
    )  # fmt: skip

    def __init__(self, server: web.Server, watch: Watch, express: Express) -> None:
        options: dict[str, Any] = {"access_log": None}  # its type does not say that None is allowed
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEPALIVE_SECONDS,
            # A compressed body is refused; what is then skipped of it is not worth decompressing.
            auto_decompress=False,
            **options,
        )
        self.answering = False
        self.boundary = Boundary()
        self._begun = False
        self._due = math.inf
        self._express = express
        self._held: tuple[bytes, asyncio.TimerHandle] | None = None
        self._moved = 0.0
        self._rest: StreamReader | None = None
        self._unsent = 0
        self._used = False
        self._watch = watch
        self._wire: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first byte."""
        super().connection_made(transport)
        self._wire = self.transport
        self._due = asyncio.get_running_loop().time() + self._watch.limits.first_byte_seconds
        self._watch.connections.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wait for nothing more."""
        self._watch.connections.discard(self)
        self._let_go()
        super().connection_lost(exc)
        self._data_received_cb = None  # the WebSocket's, which knows the request, which knows this

    def data_received(self, data: bytes) -> None:
        """Take bytes; the first ones after an answer begin a request."""
        if self.boundary.between and data:  # aiohttp looks for what it has left with no bytes
            if self._held is not None:
                data = self._let_go() + data
            if self._answered_at_once(data):
                return
            self.boundary.begin(data)
        self.boundary.take(data)
        if not self._begun and not self.answering:
            self._begun = True
            self._due = asyncio.get_running_loop().time() + self._watch.limits.header_seconds
        super().data_received(data)

    def _answered_at_once(self, data: bytes) -> bool:
        wire = self._wire
        if wire is None or wire.get_write_buffer_size():
            return False
        try:
            answer = self._express(data)
        except Exception:
            log.exception("express.crashed")
            return False  # the usual way tells the client as well
        if answer is None:
            return False
        # aiohttp's own timer knows nothing of this request.
        self.keep_alive(True)  # noqa: FBT003 - aiohttp's signature
        loop = asyncio.get_running_loop()
        if answer:
            wire.write(answer)
            self._used = True
            self._due = loop.time() + KEEPALIVE_SECONDS
        else:
            timer = loop.call_later(HOLD_SECONDS, self._give_up)
            self._held = data, timer
        return True

    def _let_go(self) -> bytes:
        """What is held, and held no more."""
        if self._held is None:
            return b""
        (data, timer), self._held = self._held, None
        timer.cancel()
        return data

    def _give_up(self) -> None:
        """The rest of a request takes its time, for which the usual way has limits."""
        data = self._let_go()
        self.boundary.begin(data)
        self.data_received(data)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, of which all is handed to the transport by then."""
        sent = await super().finish_response(request, resp, start_time)
        self.boundary.answered(request, resp)
        return sent

    def set_parser(
        self, parser: FrameReader, data_received_cb: Callable[[], None] | None = None
    ) -> None:
        """Read frames of a WebSocket from here on; what came with the handshake is the first."""
        self.boundary.head = None
        guarded: Any = MaskedFrames(parser)  # aiohttp names its own class, and uses two methods
        super().set_parser(guarded, data_received_cb)

    def begin_answer(self) -> None:
        """The headers of a request are there, and its handler begins."""
        self.answering = True
        self._unsent = 0

    def end_answer(self, body: StreamReader, *, linger: bool = True) -> None:
        """The handler has ended; the answer, if it is short, is still to be sent.

        Args:
            body: the request's; aiohttp skips what is missing of it, for ten seconds at most.
            linger: whether that is waited for, else the connection is closed.
        """
        self.answering = False
        self._begun = not body.is_eof()
        self._rest = body if self._begun else None
        self._due = math.inf if linger or not self._begun else 0.0

    def fault(self, now: float) -> Fault | None:
        """What is wrong with an idle connection.

        "stalled": an answer waits to be read, and not a byte of it went out for `stall_seconds`.
        "late": a request should have arrived by now; never while an answer is still going out,
        for the next request waits for that as well.
        """
        unsent = 0 if self._wire is None else self._wire.get_write_buffer_size()
        if unsent:
            if unsent != self._unsent:
                self._unsent, self._moved = unsent, now
            return "stalled" if now - self._moved >= self._watch.limits.stall_seconds else None
        self._unsent = 0
        if self._rest is not None and self._rest.is_eof():
            self._rest = None
            self._begun = False
        if now < self._due:
            return None
        return "late" if self._begun or not self._used else "unused"

    def hang_up(self) -> None:
        """Close; a request that has begun is told why, if no other answer is in its way."""
        wire = self._wire
        if wire is None:
            return
        if wire.is_closing() or wire.get_write_buffer_size():
            wire.abort()
            return
        if self._begun and self._due:
            wire.write(_farewell(self._watch.limits.header_seconds))
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Our problem object for what no handler has seen: bytes that are not HTTP.

        Raises:
            ConnectionError: an answer has begun; the connection is closed.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("An answer has begun already.")
        shown: StreamError
        if status >= 500:
            log.error("connection.crashed", exc_info=exc)
            shown = InternalError("The service failed on this request. Its log has the details.")
        else:
            said = (message or "").strip().partition("\n")[0][:200]
            shown = InvalidHttp(f"The request is not HTTP as this service takes it: {said!a}")
        body = problem(shown, request=f"req_{token()}")
        log.info("request.refused", request=body["request"], code=shown.code)
        response = problem_response(body)
        set_headers(response.headers, body["request"])
        response.headers[hdrs.CONNECTION] = "close"
        response.force_close()
        return response


def _farewell(seconds: float) -> bytes:
    """A whole response, for a request whose headers are not there."""
    error = RequestTimedOut(f"The headers of a request have to arrive within {seconds:g} seconds.")
    body = problem(error, request=f"req_{token()}")
    status = HTTPStatus(body["status"])
    content = orjson.dumps(body)
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content
