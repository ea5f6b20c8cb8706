"""A fake of OpenAI's chat completions that costs next to nothing, so that it is never the limit.

    python -m benchmarks.speed.upstream --port 9000

What it answers is in the name of the model: `burst-200` has 200 tokens in one write, `each-200`
sends them one by one as fast as it can, `held-200` does so after half a second, in which all
readers can have come, `paced-200` 20 a second. `GET /closed` tells when connections were closed in
the middle of an answer, in seconds of the monotonic clock, which all processes of a machine share.
"""

import argparse
import asyncio
import json
import re
import time
from functools import cache
from typing import Any, Final, cast

import uvloop

WORD: Final = " lorem"
PACED_SECONDS: Final = 0.05
HELD_SECONDS: Final = 0.5
SLOTS: Final = 50
"""Paced answers begin in one of so many groups, so that not all tokens come at one moment."""

MODEL: Final = re.compile(rb'"model":\s?"(?:[a-z]+/)?(burst|each|held|paced)-(\d+)"')
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def chunk(delta: dict[str, str], finish: str | None = None, **more: Any) -> bytes:
    """One `chat.completion.chunk` as an event."""
    said = {
        "id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012",
        "object": "chat.completion.chunk",
        "created": 1764028800,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        **more,
    }
    return b"data: %b\n\n" % json.dumps(said, separators=(",", ":")).encode()


PIECE: Final = chunk({"content": WORD})


def framed(data: bytes) -> bytes:
    """As a chunk of HTTP."""
    return b"%x\r\n%b\r\n" % (len(data), data)


FIRST: Final = framed(chunk({"role": "assistant", "content": ""}))
EACH: Final = framed(PIECE)


@cache
def ending(tokens: int) -> bytes:
    """What follows the tokens."""
    usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    said = chunk({}, "stop") + chunk({}, choices=[], usage=usage) + b"data: [DONE]\n\n"
    return framed(said) + b"0\r\n\r\n"


@cache
def burst(tokens: int) -> bytes:
    """A whole answer, in blocks of 4 KiB as a network would bring it, for one write."""
    said = PIECE * tokens
    blocks = [framed(said[start : start + 4096]) for start in range(0, len(said), 4096)]
    return HEAD + FIRST + b"".join(blocks) + ending(tokens)


@cache
def whole(tokens: int) -> bytes:
    """A `chat.completion`, not streamed."""
    body = json.dumps(
        {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": WORD * tokens},
            }],
            "usage": {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens},
        }
    ).encode()  # fmt: skip
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


class Pacer:
    """Writes the next token of every paced answer when it is due; one timer for all."""

    def __init__(self) -> None:
        self._slots: list[set[Provider]] = [set() for _ in range(SLOTS)]
        self._next = 0

    def add(self, provider: "Provider") -> None:
        """Begin with the next group that is due."""
        self._slots[self._next].add(provider)

    def remove(self, provider: "Provider") -> None:
        """The connection is gone, or its answer whole."""
        for slot in self._slots:
            slot.discard(provider)

    async def run(self) -> None:
        """Tick for ever."""
        due = time.perf_counter()
        while True:
            for provider in list(self._slots[self._next]):
                provider.tick()
            self._next = (self._next + 1) % SLOTS
            due += PACED_SECONDS / SLOTS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))


class Provider(asyncio.Protocol):
    """One connection; one request at a time."""

    pacer: Pacer
    closed: Final[list[float]] = []

    def __init__(self) -> None:
        self._data = b""
        self._left = self._tokens = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._wire = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._left:
            self.closed.append(time.monotonic())
            self._left = 0
            self.pacer.remove(self)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):
            self._data = b""
            told = json.dumps(self.closed).encode()
            self._wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
            return
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if length is None or len(body) < int(length[1]):
            return
        self._data = b""
        self._answer(body)

    def _answer(self, body: bytes) -> None:
        asked = MODEL.search(body)
        kind, tokens = (asked[1], int(asked[2])) if asked else (b"burst", 16)
        if re.search(rb'"stream":\s?true', body) is None:
            self._wire.write(whole(tokens))
        elif kind == b"burst":
            self._wire.write(burst(tokens))
        else:
            self._wire.write(HEAD + FIRST)
            self._left = self._tokens = tokens
            if kind == b"paced":
                self.pacer.add(self)
            elif kind == b"held":
                asyncio.get_running_loop().call_later(HELD_SECONDS, self._next)
            else:
                self._next()

    def _next(self) -> None:
        if self._left:
            self.tick()
            asyncio.get_running_loop().call_soon(self._next)

    def tick(self) -> None:
        """Send the next token."""
        self._wire.write(EACH)
        self._left -= 1
        if not self._left:
            self.pacer.remove(self)
            self._wire.write(ending(self._tokens))


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    Provider.pacer = Pacer()
    loop = asyncio.get_running_loop()
    await loop.create_server(Provider, "127.0.0.1", port, backlog=4096)
    await Provider.pacer.run()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
