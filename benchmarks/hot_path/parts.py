"""What is counted: tokens, runs and frames, by every wire."""

from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.hot_path.service import UPGRADE, Client, Questions, Service, masked, request

Part = Callable[[int], Coroutine[Any, Any, None]]
"""So many pieces of something."""


class Parts:
    """What is counted, each for so many pieces."""

    def __init__(self, service: Service, questions: Questions) -> None:
        self._service = service
        self._questions = questions

    def named(self) -> dict[str, tuple[Part, int]]:
        """By name: what to do, and for how many pieces at the least."""
        return {
            "a token, by SSE, one upstream send a token": (self.tokens("each"), 50),
            "a token, by SSE, in bursts": (self.tokens("burst"), 160),
            "a token, by WebSocket, one upstream send a token": (self.frames("each"), 50),
            "a token, by WebSocket, in bursts": (self.frames("burst"), 160),
            "a token of 20 runs on one WebSocket": (self.crowd, 5 * 20),
            "a run of 16 tokens, JSON": (self.calls, 5),
            "a run of 16 tokens, SSE": (self.streams, 5),
            "a run of 16 tokens, WebSocket": (self.starts, 5),
            "a cached JSON answer": (self.cached, 10),
        }

    def tokens(self, kind: str) -> Part:
        """Tokens of one run, read by SSE."""

        async def part(count: int) -> None:
            asked = self._questions.post(f"{kind}-{count}", "text/event-stream")
            await Client(self._service).ask(asked, b"0\r\n\r\n")

        return part

    def frames(self, kind: str) -> Part:
        """Tokens of one run, read from a socket."""

        async def part(count: int) -> None:
            await self._on_socket(f"{kind}-{count}", 1)

        return part

    async def crowd(self, count: int) -> None:
        """Tokens of twenty runs that share a socket."""
        await self._on_socket(f"each-{count // 20}", 20)

    async def starts(self, count: int) -> None:
        """Runs on one socket, one after the other."""
        client = Client(self._service)
        await client.ask(UPGRADE, b'"welcome"')
        for number in range(count):
            await client.ask(self._start("burst-16", number), b'"type":"end"')
        client.wire.protocol.connection_lost(None)

    async def _on_socket(self, model: str, runs: int) -> None:
        client = Client(self._service)
        await client.ask(UPGRADE, b'"welcome"')
        commands = b"".join([self._start(model, number) for number in range(runs)])
        await client.ask(commands, b'"type":"end"', runs)
        client.wire.protocol.connection_lost(None)

    def _start(self, model: str, number: int) -> bytes:
        asked = self._questions.asked(model)
        return masked({"type": "start", "id": f"{number:03}", "recipe": "generate", "input": asked})

    async def calls(self, count: int) -> None:
        """Short answers as JSON, on one connection."""
        client = Client(self._service)
        for _ in range(count):
            asked = self._questions.post("burst-16", "application/json")
            await client.ask(asked, b'"usage"')

    async def streams(self, count: int) -> None:
        """Short streams, on one connection."""
        client = Client(self._service)
        for _ in range(count):
            asked = self._questions.post("burst-16", "text/event-stream")
            await client.ask(asked, b"0\r\n\r\n")

    async def cached(self, count: int) -> None:
        """The same answer again and again."""
        client = Client(self._service)
        body = {"prompt": "the same", "model": "fake/burst-16"}
        for _ in range(count):
            await client.ask(request(body, "application/json"), b'"usage"')
