"""A client of the multiplexed WebSocket that reads frames by their lengths only."""

import asyncio
import base64
import json
import os
from typing import Final, cast

from benchmarks.speed.readers import Figures, clock

TOKEN: Final = b'"type":"text.delta"'
END: Final = b'"type":"run.completed"'


def masked(text: bytes) -> bytes:
    """A text frame as a client sends it; the mask is of zeros, which is allowed and free."""
    length = len(text)
    head = b"\x81" + (
        bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    )
    return head + b"\0\0\0\0" + text


class SocketReader(asyncio.Protocol):
    """Starts all its streams at once, and closes when all of them have ended.

    Args:
        prompts: one for each stream; none: it opens the socket and waits until it is cut.
        model: of the upstream.
        figures: where it counts.
        gaps: whether the time between reads with tokens is noted, of all streams together.
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
        self._began = self._last = 0.0
        self._open = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self.wire = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self.wire.write(
            (
                "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\n\r\n"
            ).encode()
        )

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self._open:
            head, found, data = (self._tail + data).partition(b"\r\n\r\n")
            if not found:
                self._tail = head
                return
            self._open, self._tail = True, b""
            self._ask()
        figures = self._figures
        # What straddles two reads is counted once: each mark is looked for behind a tail that is
        # one byte too short for it.
        count = (self._tail[1 - len(TOKEN) :] + data).count(TOKEN)
        ended = (self._tail[1 - len(END) :] + data).count(END)
        if count:
            now = clock()
            figures.tokens += count
            if not self._last:
                figures.first.append(now - self._began)
            elif self._gaps:
                figures.gaps.append(now - self._last)
            self._last = now
        figures.whole += ended
        self._left -= ended
        self._tail = (self._tail + data)[1 - len(END) :]
        if self._prompts and self._left <= 0:
            self.wire.close()

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
