"""The loop that sends one run to one HTTP client, whatever the framing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from aiohttp.abc import AbstractStreamWriter

from llm_stream.engine.subscription import Subscription
from llm_stream.events import Event
from llm_stream.web.frames import Lost, Silence
from llm_stream.web.pace import Pace
from llm_stream.web.pulse import Pulse
from llm_stream.web.service import Service

WRITE_BYTES: Final = 32_768
"""Most bytes of events in one write: what a reader that does not read holds, twice."""


class Framing(NamedTuple):
    """How events, and notices about the stream, become bytes; empty bytes are not sent."""

    events: Callable[[Sequence[Event]], bytes]
    notice: Callable[[str, Mapping[str, object]], bytes]


async def send(
    service: Service,
    writer: AbstractStreamWriter,
    transport: asyncio.Transport,
    subscription: Subscription,
    framing: Framing,
) -> None:
    """Send events to their end, heartbeats in silence, a goaway at a drain.

    A client that leaves ends this coroutine (cancellation or a reset), never the run: that is
    the run's own policy. A client that does not read is cut after `server.stall_seconds`.

    Args:
        service: what handlers share.
        writer: what preparing the response has returned.
        transport: the connection's.
        subscription: the reader; whoever opened it closes it.
        framing: how it is said.
    """

    async def write(data: bytes) -> None:
        if data:
            pulse.begin()
            await writer.write(data)
            await writer.drain()
            pulse.end()

    async def say_goaway() -> None:
        await service.draining.wait()
        await write(framing.notice("goaway", service.goaway()))

    # Who is behind waits until the kernel has it all, so nothing piles up here.
    transport.set_write_buffer_limits(high=0)
    server = service.settings.server
    pulse = Pulse(
        transport,
        heartbeat_seconds=server.heartbeat_seconds,
        stall_seconds=server.stall_seconds,
        beat=lambda: write(framing.notice("heartbeat", Silence())),
        on_stall=service.metrics.slow_readers.inc,
    )
    pace = Pace()
    helpers = [asyncio.create_task(pulse.run()), asyncio.create_task(say_goaway())]
    try:
        while await subscription.more():
            if gap := subscription.gap():
                service.metrics.gaps.inc()
                await write(framing.notice("gap", Lost(after=gap.after, first=gap.first)))
            if events := subscription.take(max_bytes=WRITE_BYTES):
                await write(framing.events(events))
                await pace.rest()
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
