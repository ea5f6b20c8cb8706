"""Server-Sent Events: a reader of one run, the pre-encoded bytes in WHATWG framing."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from llm_stream.engine.subscription import Subscription
from llm_stream.events import Event, cursor_of
from llm_stream.web.service import SERVICE
from llm_stream.web.streaming import Framing, send

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


FRAME: Final = b"id: %b\ndata: %b\n\n"
"""A logged event: an id and data, no name, so that it reaches `onmessage`."""


def frames(events: Sequence[Event]) -> bytes:
    """Several events for one write."""
    return b"".join([FRAME % (cursor_of(event), event) for event in events])


def notice(name: str, data: Mapping[str, object]) -> bytes:
    """Something about the stream, not of it: named, without an id."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


FRAMING = Framing(frames, notice)


def asked_cursor(request: web.Request) -> str:
    """Where the client wants to go on: `Last-Event-ID` wins over `?after=`; default the start.

    Source: the WHATWG HTML standard, 9.2 Server-sent events.
    """
    return request.headers.get("Last-Event-ID") or request.query.get("after") or "0"


async def stream(
    request: web.Request,
    subscription: Subscription,
    headers: Mapping[str, str],
    framing: Framing = FRAMING,
) -> web.StreamResponse:
    """Send a run to this client until its terminal event; closes the subscription.

    A client that leaves ends this coroutine (cancellation or a reset), never the run: that is
    the run's own policy. A client that does not read is cut after `server.stall_seconds`.
    """
    service = request.config_dict[SERVICE]
    with subscription, service.streams:
        response = EventSourceResponse(
            headers=headers,
            sep="\n",
            allow_all_methods=True,
            # Its time-out would be the kernel's, which cuts readers that are only slow; `Pulse`
            # sees the difference.
            send_timeout=None,
        )
        response.headers.update(HEADERS)
        writer = await response.prepare(request)
        response.stop_streaming()  # its pings, for which it has a task: `Pulse` beats
        async with response:
            transport = request.transport
            if writer is not None and transport is not None:
                await send(service, writer, transport, subscription, framing)
    return response
