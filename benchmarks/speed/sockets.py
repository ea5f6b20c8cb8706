"""A client of the multiplexed WebSocket that reads frames by their lengths only."""

import asyncio
import base64
import json
import os
import re
from typing import Final, cast

from benchmarks.speed.readers import Figures, clock

TOKEN: Final = b'"type":"text.delta"'
END: Final = b'"type":"run.completed"'
OF_RUN: Final = re.compile(rb'"run":"(run_\w+)"[^{}]{0,60}?"type":"text\.delta"')
"""A token, and whose it is."""

MARK_BYTES: Final = 128
"""More than `OF_RUN` and `END` can be long."""

PING: Final = 0x89
PONG: Final = 0x8A
PONG_SECONDS: Final = 3.0


def masked(text: bytes, first: int = 0x81) -> bytes:
    """A frame as a client sends it; the mask is of zeros, which is allowed and free."""
    length = len(text)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return bytes([first]) + size + b"\0\0\0\0" + text


def upgrade() -> bytes:
    """The request for a socket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def pongs(data: bytes) -> bytes:
    """The answers to pings among whole frames, with which a read begins."""
    said, place = [], 0
    while place + 2 <= len(data):
        first, length = data[place], data[place + 1]
        head = 2
        if length >= 126:
            head = 4 if length == 126 else 10
            length = int.from_bytes(data[place + 2 : place + head], "big")
        if first == PING:
            said.append(masked(data[place + 2 : place + 2 + length], PONG))
        place += head + length
    return b"".join(said)


class IdleSocket(asyncio.Protocol):
    """Opens a socket and waits, as a page does that nobody looks at; it answers pings.

    Attributes:
        open: becomes done when the socket is open, or lost.
    """

    def __init__(self) -> None:
        self._tail = b""
        self._upgraded = False
        self.alive = False
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self.wire = cast("asyncio.Transport", transport)
        self.wire.write(upgrade())

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`; what comes is small and far between, so frames come whole."""
        if not self._upgraded:
            head, found, data = (self._tail + data).partition(b"\r\n\r\n")
            if not found:
                self._tail = head
                return
            self._upgraded, self._tail = True, b""
            self.alive = head.startswith(b"HTTP/1.1 101")
            self.open.set_result(None)
        if answers := pongs(data):
            self.wire.write(answers)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.alive = False
        if not self.open.done():
            self.open.set_result(None)


class SocketReader(asyncio.Protocol):
    """Starts all its streams at once, and closes when all of them have ended.

    Args:
        prompts: one for each stream.
        model: of the upstream.
        figures: where it counts.
        gaps: whether the time to the first token of each stream and between its tokens is noted,
            which takes a closer look at what comes.
    """

    def __init__(
        self, prompts: list[str], model: str, figures: Figures, *, gaps: bool = False
    ) -> None:
        self._prompts = prompts
        self._model = model
        self._figures = figures
        self._gaps = gaps
        self._left = len(prompts)
        self._tail = b""
        self._began = self._ponged = 0.0
        self._seen: dict[bytes, float] = {}
        self._open = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self.wire = cast("asyncio.Transport", transport)
        self.wire.write(upgrade())

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self._open:
            head, found, data = (self._tail + data).partition(b"\r\n\r\n")
            if not found:
                self._tail = head
                return
            self._open, self._tail = True, b""
            self._ask()
        now = clock()
        if now - self._ponged > PONG_SECONDS:
            # Unasked for, which RFC 6455 allows (5.5.3): frames are not looked at for pings.
            self._ponged = now
            self.wire.write(masked(b"", PONG))
        figures = self._figures
        # What straddles two reads is counted once: each mark is looked for behind a tail that is
        # one byte too short for it.
        ended = (self._tail[1 - len(END) :] + data).count(END)
        count = (
            self._noted(data, now)
            if self._gaps
            else (self._tail[1 - len(TOKEN) :] + data).count(TOKEN)
        )
        figures.tokens += count
        figures.whole += ended
        self._left -= ended
        if not self._gaps:
            self._tail = (self._tail + data)[1 - len(END) :]
        if self._left <= 0:
            self.wire.close()

    def _noted(self, data: bytes, now: float) -> int:
        text, end, count, seen = self._tail + data, 0, 0, self._seen
        for found in OF_RUN.finditer(text):
            run, end = found[1], found.end()
            count += 1
            last = seen.get(run)
            if last is None:
                self._figures.first.append(now - self._began)
            elif last != now:  # as of a `StreamReader`: between reads
                self._figures.gaps.append(now - last)
            seen[run] = now
        # Begins behind what was counted, and holds what may be the beginning of more.
        self._tail = text[end:][-MARK_BYTES:]
        return count

    def _ask(self) -> None:
        self._began = clock()
        for number, prompt in enumerate(self._prompts):
            asked = {"prompt": prompt, "model": f"fake/{self._model}"}
            command = {"type": "start", "id": str(number), "recipe": "generate", "input": asked}
            self.wire.write(masked(json.dumps(command).encode()))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._figures.lost += max(0, self._left)
        if not self.over.done():
            self.over.set_result(None)
