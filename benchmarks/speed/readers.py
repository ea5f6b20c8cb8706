"""Clients that read no HTTP: they count tokens in bytes, so that one core can drive thousands."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, cast

clock = time.monotonic
"""As the upstream's `GET /closed`; all processes of a machine share it."""

OK = b"HTTP/1.1 200"


class Dialect(NamedTuple):
    """How a system is asked, and what its answers look like.

    Attributes:
        path: of its requests.
        token: bytes that stand in each token's event, once.
        end: bytes that only a whole answer has, at its end.
        over: the last bytes of a response that keeps its connection.
        headers: further lines of the request, each with its end.
        body: a prompt and a model -> the body of a request for a stream, or for plain JSON.
    """

    path: str
    token: bytes
    end: bytes
    over: bytes
    headers: str
    body: Callable[[str, str, bool], bytes]

    def request(self, prompt: str, model: str, *, stream: bool) -> bytes:
        """A whole request."""
        body = self.body(prompt, model, stream)
        accept = "text/event-stream" if stream else "application/json"
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Accept: {accept}\r\n{self.headers}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def follow(self, path: str) -> bytes:
        """A request for the events of a run."""
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        return f"{head}{self.headers}\r\n".encode()


@dataclass(slots=True)
class Figures:
    """What a crowd of readers saw; seconds."""

    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    tokens: int = 0
    whole: int = 0
    lost: int = 0


class StreamReader(asyncio.Protocol):
    """Reads streams over one kept connection, one after the other.

    Args:
        dialect: what answers look like.
        requests: to be sent, one by one.
        figures: where it counts.
        gaps: whether the time between tokens is noted.
    """

    def __init__(
        self, dialect: Dialect, requests: list[bytes], figures: Figures, *, gaps: bool = False
    ) -> None:
        self._dialect = dialect
        self._requests = requests
        self._figures = figures
        self._gaps = gaps
        self._tail = b""
        self._began = self._last = 0.0
        self._waits = True
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self.wire = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        if not self._requests:
            self.wire.close()
            return
        self._tail, self._last, self._waits = b"", 0.0, True
        self._began = clock()
        self.wire.write(self._requests.pop())

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        dialect, figures = self._dialect, self._figures
        if self._waits:
            self._waits = False
            if not data.startswith(OK):
                self.wire.close()
                return
        keep = len(dialect.token) - 1
        count = (self._tail[-keep:] + data).count(dialect.token)
        if count:
            figures.tokens += count
            now = clock()
            if not self._last:
                figures.first.append(now - self._began)
            elif self._gaps:
                figures.gaps.append(now - self._last)
            self._last = now
        self._tail = (self._tail + data)[-600:]
        if self._tail.endswith(dialect.over):
            if dialect.end in self._tail:
                figures.whole += 1
            else:
                figures.lost += 1
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        left = len(self._requests) + (not self._tail.endswith(self._dialect.over))
        self._figures.lost += left
        if not self.over.done():
            self.over.set_result(None)


class JsonReader(asyncio.Protocol):
    """Reads plain answers over one kept connection, one after the other.

    Args:
        requests: to be sent, one by one.
        figures: `whole` answers are those of status 200; `first` is how long each took.
    """

    def __init__(self, requests: list[bytes], figures: Figures) -> None:
        self._requests = requests
        self._figures = figures
        self._data = b""
        self._began = 0.0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self.wire = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        self._data = b""
        if not self._requests:
            self.wire.close()
            return
        self._began = clock()
        self.wire.write(self._requests.pop())

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._data[:end].lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(self._data) < end + 4 + int(length or 0):
            return
        figures = self._figures
        figures.first.append(clock() - self._began)
        figures.whole += head.startswith(b"http/1.1 200")
        figures.lost += not head.startswith(b"http/1.1 200")
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._figures.lost += len(self._requests) + bool(self._data)
        if not self.over.done():
            self.over.set_result(None)
