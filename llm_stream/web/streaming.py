"""What sends one run to one HTTP client, whatever the framing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

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
    # Who is behind waits until the kernel has it all, so nothing piles up here.
    transport.set_write_buffer_limits(high=0)
    feed = _Feed(service, transport, subscription, framing)
    feed.chunked = isinstance(writer, StreamWriter) and writer.chunked
    try:
        feed.start()
        while await feed.stopped():
            await writer.drain()
            feed.go_on()
    except ConnectionResetError:
        pass  # the client left
    except Exception:
        # A clean end of the body would look like the stream's end.
        transport.abort()
        raise
    finally:
        feed.end()


class _Feed:
    """Writes what the log has, from callbacks of the log and the loop.

    A token wakes no task: that of a handler is a dozen frames deep where it would write, and to
    go down there and back costs more than the rest of a token's way. The task waits until the
    peer has to read first, or the end is said.

    Attributes:
        chunked: whether writes are chunks of HTTP/1.1 (RFC 9112, 7.1).
    """

    __slots__ = ("_fault", "_framing", "_loop", "_next", "_over", "_pace", "_pulse", "_service",
                 "_stop", "_subscription", "_transport", "_waits", "chunked")  # fmt: skip

    def __init__(
        self,
        service: Service,
        transport: asyncio.Transport,
        subscription: Subscription,
        framing: Framing,
    ) -> None:
        server = service.settings.server
        self._service = service
        self._transport = transport
        self._subscription = subscription
        self._framing = framing
        self._pace = Pace()
        self._pulse = Pulse(
            transport,
            heartbeat_seconds=server.heartbeat_seconds,
            stall_seconds=server.stall_seconds,
            beat=self._beat,
            on_stall=service.metrics.slow_readers.inc,
        )
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None
        self._stop: asyncio.Future[bool] = self._loop.create_future()
        self._fault: Exception | None = None
        self._waits = self._over = False
        self.chunked = False

    def start(self) -> None:
        """Send what there is, and from now on what comes."""
        self._pulse.start()
        self._service.draining.notify(self._say_goaway)
        self._step()

    async def stopped(self) -> bool:
        """Wait until it cannot go on; whether it can when there is room again.

        If not, all has been said, or the client has left. Raises what went wrong on the way.
        """
        going = await self._stop
        fault, self._fault = self._fault, None
        try:
            if fault is not None:
                raise fault
        finally:
            del fault  # with this frame in its traceback, a cycle
        return going

    def go_on(self) -> None:
        """There is room again."""
        self._pulse.end()
        self._stop = self._loop.create_future()
        if self._over or self._fault is not None:
            self._stop.set_result(False)
        elif self._next is None:
            self._step()

    def end(self) -> None:
        """Leave log, loop and service: nothing is written from here on."""
        self._over = True
        self._pulse.stop()
        self._service.draining.forget(self._say_goaway)
        if self._waits:
            self._subscription.log.forget(self._wake)
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _wake(self) -> None:
        """Something has come: what comes in the same turn of the loop goes along."""
        self._waits = False
        if self._next is None:
            self._next = self._loop.call_soon(self._step)

    def _step(self) -> None:
        self._next = None
        # One that has to wait for room is called again by `go_on`.
        if self._stop.done():
            return
        try:
            self._send_next()
        except Exception as error:  # noqa: BLE001 - whatever it is: `stopped` raises it
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """A fault is the task's to tell, not the loop's."""
        self._fault = error
        if not self._stop.done():
            self._stop.set_result(False)

    def _say(self, name: str, told: Callable[[], Mapping[str, object]]) -> None:
        try:
            self._write(self._framing.notice(name, told()))
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    def _send_next(self) -> None:
        # A token in thousands of streams finds nothing of its own in the caches: each call of a
        # function that is spared here is more than what the function does.
        subscription, log = self._subscription, self._subscription.log
        if log.holed and (gap := subscription.gap()):
            self._service.metrics.gaps.inc()
            self._write(self._framing.notice("gap", Lost(after=gap.after, first=gap.first)))
            if self._stop.done():
                return
        rest = 0.0
        if events := subscription.take(max_bytes=WRITE_BYTES):
            self._write(self._framing.events(events))
            rest = self._pace.spend()
        if self._stop.done():
            return
        if rest:
            self._next = self._loop.call_later(rest, self._step)
        elif subscription.index < log.count:
            self._next = self._loop.call_soon(self._step)
        elif log.sealed:
            self._finish()
        elif not self._waits:
            self._waits = True
            log.notify(self._wake)

    def _write(self, data: bytes) -> None:
        if not data or self._over:
            return
        transport = self._transport
        if transport.is_closing():
            self._finish()
            return
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)
        if not transport.get_write_buffer_size():
            self._pulse.end()
            return
        self._pulse.begin()
        if not self._stop.done():
            self._stop.set_result(True)

    def _finish(self) -> None:
        self._over = True
        if not self._stop.done():
            self._stop.set_result(False)

    def _beat(self) -> None:
        self._say("heartbeat", Silence)

    def _say_goaway(self) -> None:
        self._say("goaway", self._service.goaway)
