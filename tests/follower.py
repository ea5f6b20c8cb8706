"""A client as it should be: it comes back behind the last event it has until there is an end."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import aiohttp

from .wire import SSE, SseEvent, sse_events

ENDS = frozenset({"run.completed", "run.failed", "run.cancelled"})


class Follower:
    """Starts a run and reads it to its end, whatever becomes of its connections.

    Args:
        http: the session.
        choose: where to go next, asked for each request.
        body: the request.
        patience: how many events of a connection to read before dropping it; None = all.

    Attributes:
        began: set when it has seen the first event.
        events: every logged event it has seen, in order.
        refusals: codes of problems it was told, each of which may pass.
        resumes: how often it came back.
        sent_away: whether it was told to come back elsewhere, and did.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        choose: Callable[[], str],
        body: dict[str, Any],
        patience: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.began = asyncio.Event()
        self.events: list[SseEvent] = []
        self.refusals: list[str] = []
        self.resumes = -1
        self.run = ""
        self.sent_away = False
        self._http, self._choose, self._body, self._patience = http, choose, body, patience

    @property
    def ended(self) -> bool:
        """Whether it has seen the terminal event."""
        return bool(self.events) and self.events[-1].payload["type"] in ENDS

    async def follow(self) -> None:
        """Start the run and read to its end."""
        while not self.run:
            async with self._http.post(
                f"{self._choose()}/v1/generate",
                json=self._body,
                headers={"Prefer": "respond-async"},
            ) as response:
                if response.status == 202:
                    self.run = (await response.json())["id"]
                else:
                    await self._refused(response)
        while not self.ended:
            self.resumes += 1
            await self._read_on()

    async def _read_on(self) -> None:
        after = (self.events[-1].id or "") if self.events else "0"
        async with self._http.get(
            f"{self._choose()}/v1/runs/{self.run}/events", params={"after": after}, headers=SSE
        ) as response:
            if response.status != 200:
                await self._refused(response)
                return
            with suppress(aiohttp.ClientPayloadError):  # broken off: what came before counts
                await self._read(sse_events(response))

    async def _read(self, events: AsyncIterator[SseEvent]) -> None:
        left = self._patience()
        async for event in events:
            assert event.event != "gap"
            if event.event == "goaway" and not self.sent_away:
                # Whoever takes it next may be the one that drains, and serves it nonetheless.
                self.sent_away = True
                return
            if event.event is None:
                self.events.append(event)
                self.began.set()
                left = None if left is None else left - 1
            if left == 0:
                return

    async def _refused(self, response: aiohttp.ClientResponse) -> None:
        problem = await response.json()
        assert problem["retryable"], problem
        self.refusals.append(problem["code"])
        # As long as it was told, as a good client waits: whether that is right is part of what is
        # shown, and who comes back sooner loads a service that has said when it can.
        await asyncio.sleep(problem.get("retry_after_ms", 0) / 1000)


def broken(events: list[SseEvent]) -> list[str]:
    """Which invariants the events of a whole run break, in words; none, if all is well.

    Cursors are contiguous, of one epoch after the other; each event says its own; exactly one is
    terminal, the last; the text is the one whose hash the end tells.
    """
    found = []
    epoch, seq, text = 1, 0, ""
    for event in events:
        payload = json.loads(event.data)
        here = tuple(int(part) for part in (event.id or "0-0").split("-"))
        if here == (epoch, seq + 1) or (here[0] > epoch and here[1] == 1):
            epoch, seq = here
        else:
            found.append(f"{event.id} follows {epoch}-{seq}")
        if payload["id"] != event.id:
            found.append(f"{event.id} says to be {payload['id']}")
        if payload["type"] == "run.restarted":
            text = ""
        elif payload["type"] == "text.delta":
            text += payload["text"]
    ends = [e.payload["type"] for e in events if e.payload["type"] in ENDS]
    if len(ends) != 1 or events[-1].payload["type"] not in ENDS:
        found.append(f"ends: {ends}")
    digest = events[-1].payload.get("text_sha256") if events else None
    if digest and hashlib.sha256(text.encode()).hexdigest() != digest:
        found.append("the text is not the one that the end tells")
    return found
