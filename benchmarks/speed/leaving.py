"""Clients that go away in the middle of an answer, and how soon the upstream knows."""

import asyncio
import json
from typing import Final, Protocol

from benchmarks.speed.readers import Dialect, clock

GIVEN_UP_SECONDS: Final = 2.0
"""What is not closed by then is not going to be because of this client."""

LOOK_SECONDS: Final = 0.005


class Leaving(Protocol):
    """What of a job is of interest here."""

    @property
    def model(self) -> str:
        """Asked for; longer than anybody waits."""

    @property
    def connections(self) -> int:
        """How many, one after the other."""

    @property
    def upstream(self) -> int:
        """Its port."""


async def closings(port: int) -> list[float]:
    """When the upstream has lost connections in the middle of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /closed HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    found: list[float] = json.loads(await reader.readexactly(length))
    writer.close()
    return found


async def leave(port: int, dialect: Dialect, job: Leaving) -> list[float | None]:
    """Seconds from each client's going to its upstream's end; None where that did not come."""
    found: list[float | None] = []
    for number in range(job.connections):
        known = len(await closings(job.upstream))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        asked = dialect.request(f"leave {number} {clock()}", job.model, stream=True)
        writer.write(asked)
        seen = b""
        while dialect.token not in seen:
            if not (data := await reader.read(65536)):
                raise ConnectionResetError("It ended before its first token.")
            seen += data
        gone = clock()
        writer.close()
        seconds = None
        while seconds is None and clock() < gone + GIVEN_UP_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            if len(closed := await closings(job.upstream)) > known:
                seconds = closed[known] - gone
        found.append(seconds)
    return found
