"""Server-Sent Events: a reader of one run, the pre-encoded bytes in WHATWG framing."""

import asyncio
from collections.abc import Mapping, Sequence

import orjson
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from llm_stream.engine.eventlog import Subscription
from llm_stream.events import Event
from llm_stream.web.pace import Pace
from llm_stream.web.pulse import Pulse
from llm_stream.web.service import SERVICE, Service

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


def frame(event: Event) -> bytes:
    """A logged event: an id and data, no name, so that it reaches `onmessage`."""
    return b"id: %b\ndata: %b\n\n" % (event.position.encode(), event.data)


def frames(events: Sequence[Event]) -> bytes:
    """Several events for one write."""
    return b"".join([frame(event) for event in events])


def notice(name: str, data: object) -> bytes:
    """Something about the stream, not of it: named, without an id."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


def cursor_of(request: web.Request) -> str:
    """Where the client wants to go on: `Last-Event-ID` wins over `?after=`; default the start.

    Source: the WHATWG HTML standard, 9.2 Server-sent events.
    """
    return request.headers.get("Last-Event-ID") or request.query.get("after") or "0"


async def stream(
    request: web.Request, subscription: Subscription, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send a run to this client until its terminal event; closes the subscription.

    A client that leaves ends this coroutine (cancellation or a reset), never the run: that is
    the run's own policy. A client that does not read is cut after `server.stall_seconds`.
    """
    service = request.config_dict[SERVICE]
    server = service.settings.server
    with subscription, service.streams:
        response = EventSourceResponse(
            headers=headers,
            sep="\n",
            allow_all_methods=True,
            ping_interval=server.heartbeat_seconds,
            # Its time-out would be the kernel's, which cuts readers that are only slow; `Pulse`
            # sees the difference.
            send_timeout=None,
        )
        response.headers.update(HEADERS)
        await response.prepare(request)
        async with response:
            transport = request.transport
            if transport is not None:
                await _send(service, response, transport, subscription)
    return response


async def _send(
    service: Service,
    response: EventSourceResponse,
    transport: asyncio.Transport,
    subscription: Subscription,
) -> None:
    async def write(data: bytes) -> None:
        pulse.begin()
        await response.write(data)
        pulse.end()

    async def say_goaway() -> None:
        await service.draining.wait()
        await write(notice("goaway", service.goaway()))

    server = service.settings.server
    pulse = Pulse(
        transport,
        heartbeat_seconds=server.heartbeat_seconds,
        stall_seconds=server.stall_seconds,
        beat=lambda: write(notice("heartbeat", {})),
        on_stall=service.metrics.slow_readers.inc,
    )
    pace = Pace()
    helpers = [asyncio.create_task(pulse.run()), asyncio.create_task(say_goaway())]
    try:
        while not subscription.ended:
            if events := subscription.take():
                await write(frames(events))
                await pace.rest()
            else:
                await subscription.wait()
    except ConnectionResetError:
        pass  # the client left
    except Exception:
        # A clean end of the body would look like the stream's end.
        transport.abort()
        raise
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
