"""The events of an async `llm` response, in a way that can be left at any time."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

import llm

from llm_stream.models.joining import JOIN_EVENTS, join_events

MAX_DROPPED_CHUNKS: Final = 1000
"""How many chunks leaving reads on the way to the plugin's own wait; bounds endless bursts."""


async def events_of(response: llm.AsyncResponse) -> AsyncGenerator[llm.parts.StreamEvent]:
    """The events of an async response; leaving closes the provider's stream.

    Some plugins close their connection only when a cancellation lands inside their own
    `__anext__`, not on `aclose()`. So whoever leaves from elsewhere gets one more pull, which
    is cancelled at once.
    """
    events = cast("AsyncGenerator[llm.parts.StreamEvent]", cast("Any", response).astream_events())
    finished = False
    joined, left = 0, JOIN_EVENTS
    try:
        async for event in events:
            yield event
            left -= 1
            if not left:
                joined, left = join_events(response, joined), JOIN_EVENTS
        finished = True
    except GeneratorExit:
        finished = True
        await _cancel_inside(events)
        raise
    finally:
        if not finished:
            # An exception or a cancellation came out of the plugin's generator: it is closed.
            await events.aclose()


async def _cancel_inside(events: AsyncGenerator[Any]) -> None:
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
