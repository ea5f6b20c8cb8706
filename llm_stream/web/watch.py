"""Closes connections that keep the service waiting."""

import asyncio
from typing import Final, Literal, Protocol

from prometheus_client import Counter

from llm_stream.config import ServerSection
from llm_stream.engine.redislog.limit import TURNS

LOOKS: Final = 8
"""How often the watch looks within the shortest of its limits."""

Fault = Literal["late", "stalled", "unused"]
"""A request is late; an answer is not read; nothing is asked any more, which is nobody's fault."""


class Watched(Protocol):
    """A connection.

    Attributes:
        answering: whether a handler has the request; then nothing is watched here.
    """

    answering: bool

    def fault(self, now: float) -> Fault | None:
        """What is wrong with it, at this time of the loop."""

    def hang_up(self) -> None:
        """Close it."""


class Watch:
    """Looks at all connections of one server and closes those that are late.

    One task for all of them: a request costs two stores, and no timer is touched.

    Args:
        server: the limits.
        late: counts connections closed because a request did not arrive in time.
        stalled: counts connections closed because an answer was not read.
    """

    def __init__(self, server: ServerSection, late: Counter, stalled: Counter) -> None:
        self.limits = server
        self.connections: set[Watched] = set()
        self._counters = {"late": late, "stalled": stalled}

    async def run(self) -> None:
        """Look until cancelled."""
        limits = self.limits
        every = min(limits.first_byte_seconds, limits.header_seconds, limits.stall_seconds) / LOOKS
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(every)
            if not self._find(now()):
                continue
            # A loop that was late itself has not yet heard what has arrived meanwhile.
            for _ in range(TURNS):
                await asyncio.sleep(0)
            for connection, fault in self._find(now()):
                if fault != "unused":
                    self._counters[fault].inc()
                connection.hang_up()

    def _find(self, now: float) -> list[tuple[Watched, Fault]]:
        return [
            (connection, fault)
            for connection in self.connections
            if not connection.answering and (fault := connection.fault(now)) is not None
        ]
