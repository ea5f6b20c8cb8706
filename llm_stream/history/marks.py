"""Marks in the writer's queue: whoever waits for one knows that what came before it is written."""

import asyncio
from contextlib import suppress

from llm_stream.history.jobs import Counting
from llm_stream.history.writer import Writer


class Marks:
    """One mark is under way at a time, whoever waits: they are not to fill the writer's queue.

    Args:
        writer: whose queue.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._under_way: asyncio.Event | None = None

    async def passed(self, seconds: float) -> None:
        """Return when what was queued before is written, or has failed; after `seconds` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._under_way is not None:
                    await self._under_way.wait()  # put before what this one waits for
                if (mark := self._under_way or self._put()) is not None:
                    await mark.wait()

    def _put(self) -> asyncio.Event | None:
        loop, mark = asyncio.get_running_loop(), asyncio.Event()
        job = Counting({}, lambda: loop.call_soon_threadsafe(self._pass, mark))
        if self._writer.facts().state == "failing" or not self._writer.put(job):
            return None
        self._under_way = mark
        return mark

    def _pass(self, mark: asyncio.Event) -> None:
        self._under_way = None
        mark.set()
