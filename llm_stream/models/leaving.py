"""The events of an async `llm` response, in a way that can be left at any time."""

import asyncio
from types import AsyncGeneratorType
from typing import Any, Final, cast

import llm

Events = AsyncGeneratorType[llm.parts.StreamEvent, None]

MAX_DROPPED_CHUNKS: Final = 1000
"""How many chunks leaving reads on the way to the plugin's own wait; bounds endless bursts."""


class ResponseEvents:
    """The events of an async response; leaving closes the provider's stream.

    Some plugins close their connection only when a cancellation lands inside their own
    `__anext__`, not on `aclose()`. So whoever leaves from elsewhere gets one more pull, which
    is cancelled at once.
    """

    __slots__ = ("_events",)

    def __init__(self, response: llm.AsyncResponse) -> None:
        self._events = cast("Events", cast("Any", response).astream_events())

    async def __aenter__(self) -> Events:
        return self._events

    async def __aexit__(self, *_: object) -> None:
        # None: it has ended, or an exception or a cancellation came out of it.
        if self._events.ag_frame is not None:
            await _cancel_inside(self._events)


async def _cancel_inside(events: Events) -> None:
    async def pull() -> None:
        # Chunks that lie ready are read and dropped until the plugin waits for its provider.
        for _ in range(MAX_DROPPED_CHUNKS):
            await anext(events)

    puller = asyncio.create_task(pull())
    await asyncio.sleep(0)
    puller.cancel()
    # gather: the answer is not wanted any more, nor is the error that ends it.
    await asyncio.gather(puller, return_exceptions=True)
    await events.aclose()
