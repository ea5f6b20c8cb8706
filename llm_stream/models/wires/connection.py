"""HTTP/1.1 over one connection to a provider: a request, and its answer as it comes.

What is said is parsed by httptools (Node's llhttp). A block of an answer goes from the socket to
who waits for it in one step: between them is a list, and no timer or task.

Source: RFC 9112.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from llm_stream.errors import UpstreamFailed

HEAD_BYTES: Final = 65_536
"""What a head may take, and what else comes without being a body."""

LARGE_BYTES: Final = 65_536
"""A request whose answer may come before all of it has left: more than systems take at once."""

HELD_BYTES: Final = 262_144
"""While so much waits to be read, nothing more is taken from the socket."""


class Connection(asyncio.Protocol):
    """One connection; one request and its answer after the other.

    `asyncio` and the parser call it from outside; its owner asks, reads and closes.

    Attributes:
        status: of the answer, 0 before its head has come.
        headers: of the answer, by name in lower case; of several of one name the first.
        ended: whether all of the answer has come; some of it may still wait to be read.
        idle_since: its owner's note, on the loop's clock.

    Args:
        lost: is told once when it is gone, whoever closed it.
    """

    def __init__(self, lost: Callable[["Connection"], None]) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = True
        self.idle_since = 0.0
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._reader: asyncio.Future[bytes] | None = None
        self._blocks: list[bytes] = []
        self._parser: HttpResponseParser | None = None
        self._model_id = ""
        self._broken: str | None = None
        self._held = self._overhead = 0
        self._keeps = self._until_close = self._paused = self._large = False

    # Its owner:

    def ask(self, head: bytes, body: bytes, model_id: str) -> None:
        """Send a request. Only when it is new or `reusable`.

        Args:
            head: request line and headers, to the empty line.
            body: what follows.
            model_id: begins the details of errors.
        """
        self.status = 0
        self.headers = {}
        self.ended = self._keeps = False
        self._blocks.clear()  # who asked before may have left some
        self._held = self._overhead = 0
        self._model_id = model_id
        self._large = len(body) > LARGE_BYTES
        if self._transport is None:
            self._broken = "it was closed"  # right after it was made
        else:
            self._transport.writelines((head, body) if body else (head,))

    async def answered(self) -> None:
        """Wait for the head of the answer.

        Raises:
            UpstreamFailed: there is none, or it is no HTTP (the upstream's doing).
        """
        while not self.status:
            if self._broken is not None:
                told = f"{self._model_id}: no answer from the provider: {self._broken}"
                raise UpstreamFailed(told)
            self._waiter = self._loop.create_future()
            await self._waiter

    def read(self) -> asyncio.Future[bytes]:
        """The next block of the body, as it came; empty at its clean end.

        No coroutine: that were a frame more to go through for each token. A cancelled one may have
        taken its block with it.

        Raises:
            UpstreamFailed: it broke, or what came is no HTTP (the upstream's doing).
        """
        self._reader = reader = self._loop.create_future()
        if self._blocks or self.ended or self._broken:
            self._wake()
        return reader

    @property
    def reusable(self) -> bool:
        """Whether another request can be sent over it now."""
        return self.ended and self._keeps and self._is_open()

    def close(self) -> None:
        """Give it up at once, whatever is under way. Safe to call again."""
        self._keeps = False
        if self._transport is not None:
            self._transport.abort()

    # The parser:

    def on_message_begin(self) -> None:
        """An answer begins; never a second one, for nobody has asked for it."""
        if self.ended:
            raise HttpParserError("more than was asked for")
        self._until_close = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; behind a body it is none of ours."""
        if self.status:
            return
        if name.endswith((b" ", b"\t")):  # it is obeyed, but under another name
            raise HttpParserError("a space before a colon")
        known, said = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers.setdefault(known, said)
        chunked = known == "transfer-encoding" and "chunked" in said.lower()
        if chunked or known == "content-length":
            self._until_close = False

    def on_headers_complete(self) -> None:
        """The head is there, unless it only informs (1xx): then another one follows."""
        status = self._parser.get_status_code() if self._parser is not None else 0
        if status < 100:
            raise HttpParserError("no status")
        if status < 200:
            self.headers = {}
        else:
            self.status = status

    def on_message_complete(self) -> None:
        """The answer has ended as HTTP wants it."""
        if self.status and self._parser is not None:
            self.ended = True
            # A refusal can come before all of its request has left, and what is sent next would
            # stand behind the rest. How much the system and TLS still hold nobody can tell.
            unsent = self._large and self.status != 200
            self._keeps = self._parser.should_keep_alive() and not unsent

    # asyncio:

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self.on_body = self._blocks.append  # of the parser: a call of C a chunk
        self._parser = HttpResponseParser(self)
        # What small servers write by hand; nothing that says twice how long an answer is.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._parser is None or self.ended:
            self.close()  # nobody has asked
            return
        blocks = self._blocks
        had = len(blocks)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail("what came is no HTTP")
        if len(blocks) > had:
            self._overhead = 0
            self._held += len(data)
            if self._held > HELD_BYTES:
                self._pause()
        else:
            self._overhead += len(data)
            if self._overhead > HEAD_BYTES:
                self._fail("more than 64 KiB of head")
        self._wake()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`; then the transport closes itself."""
        if self.status and self._until_close:
            self.ended = True
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._fail("it was closed" if error is None else type(error).__name__)
        # It holds methods of this, so they would wait for the collector together.
        self._parser = None
        del self.on_body
        self._wake()
        self._lost(self)

    def _fail(self, reason: str) -> None:
        """Nothing more comes. What has ended before stays as it is, but is the last."""
        if not self.ended and self._broken is None:
            self._broken = reason
        self.close()

    def _wake(self) -> None:
        """Give who waits for the head, or for a block, what there is for them."""
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            if not waiter.done():
                waiter.set_result(None)
        reader, blocks = self._reader, self._blocks
        if reader is None or reader.done() or not (blocks or self.ended or self._broken):
            return
        self._reader = None
        if blocks or self.ended:
            self._held = 0
            if self._paused:
                self._resume()
            reader.set_result(blocks.pop() if len(blocks) == 1 else b"".join(blocks))
            blocks.clear()
        else:
            told = f"{self._model_id}: the connection broke: {self._broken}"
            reader.set_exception(UpstreamFailed(told))
            reader.exception()  # whoever does not want it any more is not told of it elsewhere

    def _pause(self) -> None:
        # A closed transport of uvloop's can be asked for neither.
        if not self._paused and not self.ended and self._is_open():
            self._paused = True
            cast("asyncio.Transport", self._transport).pause_reading()

    def _resume(self) -> None:
        self._paused = False
        if self._is_open():
            cast("asyncio.Transport", self._transport).resume_reading()

    def _is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()
