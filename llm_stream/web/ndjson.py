"""A batch as newline-delimited JSON: one line a result, as soon as it is there."""

from collections.abc import Mapping, Sequence

import orjson
from aiohttp import web

from llm_stream.engine.subscription import Subscription
from llm_stream.events import Event, decoded, kind_of
from llm_stream.payloads import TERMINAL_TYPES
from llm_stream.web.service import SERVICE
from llm_stream.web.streaming import Framing, send


def lines(events: Sequence[Event]) -> bytes:
    """The values of `item.completed` events, and the terminal event as it is."""
    found = []
    for event in events:
        kind = kind_of(event)
        if kind == "item.completed":
            found.append(orjson.dumps(decoded(event)["value"]) + b"\n")
        elif kind in TERMINAL_TYPES:
            found.append(event + b"\n")
    return b"".join(found)


def notice(name: str, data: Mapping[str, object]) -> bytes:
    """Something about the stream: a line with a `type`, which no result has."""
    return orjson.dumps({"type": name, **data}) + b"\n"


FRAMING = Framing(lines, notice)


async def stream(
    request: web.Request, subscription: Subscription, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send a result a line, last the terminal event; a body without it was cut.

    Closes the subscription.
    """
    service = request.config_dict[SERVICE]
    with subscription, service.streams:
        response = web.StreamResponse(headers=headers)
        response.content_type = "application/x-ndjson"
        response.headers["Cache-Control"] = "no-store, no-transform"
        response.headers["X-Accel-Buffering"] = "no"
        writer = await response.prepare(request)
        if writer is not None and request.transport is not None:
            await send(service, writer, request.transport, subscription, FRAMING)
    return response
