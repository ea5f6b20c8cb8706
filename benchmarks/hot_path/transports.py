"""Transports of bytes and no sockets, the upstream behind them, a loop with a time of its own."""

import asyncio
import json
import re
import selectors
from collections.abc import Callable, Iterator
from typing import Any, Final

TURN_SECONDS: Final = 0.0021
"""How far time moves with each turn of the loop: so slow that no write waits for the next."""


class Wire(asyncio.Transport):
    """Bytes for one protocol of this process, and what it answers.

    Args:
        protocol: at this end.
        took: is given what it writes.
    """

    def __init__(self, protocol: asyncio.Protocol, took: Callable[[bytes], None]) -> None:
        super().__init__()
        self.protocol = protocol
        self._took = took
        self._closing = False
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """It has said something."""
        self._took(bytes(data))

    def is_closing(self) -> bool:
        """Whether it has closed."""
        return self._closing

    def close(self) -> None:
        """It wants no more."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def get_write_buffer_size(self) -> int:
        """All is taken at once."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is nothing to limit."""

    def pause_reading(self) -> None:
        """What has been sent comes all the same."""

    def resume_reading(self) -> None:
        """It never paused."""

    def is_reading(self) -> bool:
        """It always does."""
        return True


class Upstream:
    """Answers of OpenAI's kind, as the name of the model says: `burst-200`, `each-200`."""

    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
    ASKED = re.compile(rb'"model":"(burst|each)-(\d+)"')

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._data = b""
        self._waiting: Iterator[bytes] = iter(())
        self.wire = Wire(protocol, self._asked)

    def _asked(self, data: bytes) -> None:
        self._data += data
        if (found := self.ASKED.search(self._data)) is None:
            return
        kind, tokens = found[1], int(found[2])
        self._data = b""
        said = [chunk({"content": " lorem"})] * tokens
        usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
        said += [chunk({}, "stop"), chunk({}, choices=[], usage=usage), b"data: [DONE]\n\n"]
        step = 1 if kind == b"each" else 16
        blocks = [b"".join(said[at : at + step]) for at in range(0, len(said), step)]
        framed = [b"%x\r\n%b\r\n" % (len(block), block) for block in blocks]
        self._waiting = iter([self.HEAD % b"text/event-stream", *framed, b"0\r\n\r\n"])
        asyncio.get_running_loop().call_soon(self._next, kind == b"each")

    def _next(self, one: bool) -> None:  # noqa: FBT001 - a callback of the loop's
        for block in self._waiting:
            self.wire.protocol.data_received(block)
            if one:
                asyncio.get_running_loop().call_soon(self._next, one)
                return


def chunk(delta: dict[str, str], finish: str | None = None, **more: Any) -> bytes:
    """One `chat.completion.chunk` as an event."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    said = {
        "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012", "object": "chat.completion.chunk",
        "created": 1764028800, "model": "gpt-4o-2024-08-06", "choices": [choice], **more,
    }  # fmt: skip
    return b"data: %b\n\n" % json.dumps(said, separators=(",", ":")).encode()


class Loop(asyncio.SelectorEventLoop):
    """A loop whose connections lead to `Upstream`, and whose time moves with its turns.

    Attributes:
        steady: whether it does; else time is everybody's, as while the service starts.
    """

    def __init__(self) -> None:
        self.steady = False
        self._now = 0.0
        super().__init__(Impatient(self))

    def time(self) -> float:
        """Seconds."""
        return self._now if self.steady else super().time()

    def settle(self) -> None:
        """From here on time is the loop's own."""
        self._now = super().time()
        self.steady = True

    def turned(self, seconds: float) -> None:
        """A turn is over, in which nothing happened for so long."""
        self._now += TURN_SECONDS + seconds

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Nobody is asked."""

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], *_: Any, sock: Any = None, **__: Any
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """A connection to the upstream of this process."""
        if sock is not None:
            sock.close()
        protocol = protocol_factory()
        return Upstream(protocol).wire, protocol


class Impatient(selectors.SelectSelector):
    """Waits for nothing but the start: with a steady loop the next timer is due at once."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """See `selectors`."""
        if not self._loop.steady:
            return super().select(timeout)
        self._loop.turned(timeout or 0.0)
        return super().select(0)
