"""What a mock provider has seen of one request, for tests to look at and wait for."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from llm_stream.testing.mockproviders.faults import NO_FAULT, MockFault


class Milestones:
    """Wakes whoever waits for something, each time that anything has happened."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def happened(self) -> None:
        """Let all who wait look again."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until that is true."""
        while not holds():
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)


@dataclass(slots=True, eq=False)
class MockRequest:
    """One request and what became of it.

    Attributes:
        method: as sent.
        path: as sent, keys masked.
        headers: by lower-case name, keys masked to their last four characters.
        content: the body's bytes.
        connection: number of the connection it came on, from 1.
        received_at: when it was read, by the loop's clock.
        body: the body as JSON; None if it is none.
        provider: whose wire it is, "" if none of ours.
        model: what was asked for.
        fault: what went wrong with the reply.
        status: of the reply.
        reply: the whole body that would be sent without a cut or a stall.
        sent: bytes of it that were written.
        chunks: chunks of it that were written whole.
        pauses: seconds that were waited between chunks, as they were drawn.
        draw: what they are drawn from.
        ended_at: when the reply was over, as planned or not.
        closed_at: when the client left before that; None if it stayed.
        left: how it left: by closing, or by resetting the connection.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    connection: int
    received_at: float
    milestones: Milestones = field(repr=False)
    body: Any = None
    provider: str = ""
    model: str = ""
    fault: MockFault = NO_FAULT
    status: int = 0
    reply: bytes = field(default=b"", repr=False)
    sent: int = 0
    chunks: int = 0
    pauses: list[float] = field(default_factory=list, repr=False)
    draw: Random = field(default_factory=Random, repr=False)
    ended_at: float | None = None
    closed_at: float | None = None
    left: Literal["", "fin", "rst"] = ""
    resumed: bool = False

    def resume(self) -> None:
        """Let a reply that is silent or stalled go on."""
        self.resumed = True
        self.milestones.happened()

    async def until(self, holds: "Callable[[MockRequest], bool]") -> None:
        """Wait until that is true of this request: `await r.until(lambda r: r.chunks == 3)`."""
        await self.milestones.until(lambda: holds(self))

    async def ended(self) -> None:
        """Wait until the reply is over or the client has left."""
        await self.until(lambda request: request.ended_at is not None)
