"""The multiplexed WebSocket: one socket, one reader loop, one writer task, many streams."""

import asyncio
from functools import partial
from typing import Final

import structlog
from aiohttp import WSCloseCode, WSMsgType, hdrs, web
from aiohttp.abc import AbstractStreamWriter

from llm_stream.errors import InvalidField, MalformedRequest, StreamError
from llm_stream.web.auth import SOCKET, principal_of
from llm_stream.web.commands import answer_frame, refusal
from llm_stream.web.frames import GoAway, Heartbeat
from llm_stream.web.line import Line
from llm_stream.web.pace import Pace
from llm_stream.web.problems import (
    DRAINED,
    MALFORMED,
    NO_KEY,
    TABLE,
    problem,
    problem_response,
)
from llm_stream.web.pulse import Pulse
from llm_stream.web.service import REQUEST_ID, SERVICE
from llm_stream.web.socket import Socket

PROTOCOL: Final = "llm-stream.v1"
MAX_MALFORMED: Final = 20
"""Frames in a row that are not the protocol; then the socket is closed with 4400."""

ABNORMAL: Final = WSCloseCode.ABNORMAL_CLOSURE
CLOSE_SECONDS: Final = 1.0
"""How long a client has to take the last frames and to answer a close."""

PING_SECONDS: Final = 12.0
"""WebSocket pings; a peer that does not answer within half of it is gone."""

routes = web.RouteTableDef()
log = structlog.get_logger("llm_stream.socket")


@routes.get(SOCKET, allow_head=False)
async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Serve one socket until either side closes it."""
    service = request.config_dict[SERVICE]
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL)
    if offered is not None and PROTOCOL not in [name.strip() for name in offered.split(",")]:
        raise InvalidField(
            f"This socket speaks {PROTOCOL}; offer that or no subprotocol.",
            field=hdrs.SEC_WEBSOCKET_PROTOCOL,
        )
    ws = handshake(service.settings.limits.message_bytes)
    if not ws.can_prepare(request).ok:
        raise InvalidField(
            "This is a WebSocket endpoint; send an upgrade request.", field="Upgrade"
        )
    principal = principal_of(request)
    async with service.access.limits.socket(principal):
        writer = await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws
        socket = Socket(service, request[REQUEST_ID], principal)
        return await _serve(ws, socket, transport, writer)


async def _serve(
    ws: web.WebSocketResponse,
    socket: Socket,
    transport: asyncio.Transport,
    drained: AbstractStreamWriter,
) -> web.WebSocketResponse:
    service = socket.service
    server = service.settings.server
    transport.set_write_buffer_limits(high=0)  # as in `streaming`

    def beat() -> None:
        socket.outbox.reply(Heartbeat(type="heartbeat"))

    pulse = Pulse(
        transport,
        heartbeat_seconds=server.heartbeat_seconds,
        stall_seconds=server.stall_seconds,
        beat=beat,
        on_stall=service.metrics.slow_readers.inc,
    )
    socket.outbox.reply(socket.welcome())
    line = Line(service.crossing)
    reader = asyncio.create_task(_read(ws, socket, line))
    writer = asyncio.create_task(_write(ws, socket, pulse, transport, drained))
    say_goaway = partial(_say_goaway, socket)
    service.draining.notify(say_goaway)
    pulse.start()
    with service.sockets, service.access.presence.here(socket.client, socket.dismiss):
        try:
            ends = (reader, writer, socket.dismissed)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if socket.closing is not None:
                await asyncio.wait((writer,), timeout=CLOSE_SECONDS)
        finally:
            pulse.stop()
            service.draining.forget(say_goaway)
            socket.close()
            stuck = not writer.done()
            tasks = (*ends, *line.waiting)
            for task in tasks:
                task.cancel()
            # A writer blocked on a peer that does not read is freed by its cancellation alone.
            results = await asyncio.gather(*tasks, return_exceptions=True)
            if not (pulse.stalled or stuck) and socket.closing is not None:
                await ws.close(code=socket.closing)
            elif not pulse.stalled and ws.close_code is not None:
                await answer_close(ws)
            elif not ws.closed:
                transport.abort()
    for result in results:
        if isinstance(result, Exception):
            log.error("socket.crashed", request=socket.request, exc_info=result)
    return ws


async def refuse_socket(request: web.Request, error: StreamError) -> web.StreamResponse:
    """Answer a page's handshake that is refused: open, then closed with the error's code.

    A page is told nothing of a handshake that fails; of a close it sees code and reason.
    """
    body = problem(error, request=request[REQUEST_ID])
    ws = handshake(0)
    if not ws.can_prepare(request).ok:
        return problem_response(body)
    await ws.prepare(request)
    await ws.close(code=TABLE[type(error)].close_code, message=error.code.encode())
    return ws


def handshake(message_bytes: int) -> web.WebSocketResponse:
    """A socket that is still to be prepared; whoever reads it ends with `answer_close`."""
    return web.WebSocketResponse(
        protocols=(PROTOCOL,),
        max_msg_size=message_bytes + 1,  # the smallest that aiohttp refuses
        compress=False,
        heartbeat=PING_SECONDS,
        timeout=CLOSE_SECONDS,
        autoclose=False,
    )


async def answer_close(ws: web.WebSocketResponse) -> None:
    """Answer the client's close frame; nothing else is sent before it any more.

    aiohttp takes 1006 from a client, which no frame may carry (RFC 6455, 7.4.1).
    """
    code = WSCloseCode.PROTOCOL_ERROR if ws.close_code == ABNORMAL else WSCloseCode.OK
    await ws.close(code=code, drain=False)


async def _read(ws: web.WebSocketResponse, socket: Socket, line: Line) -> None:
    malformed = 0
    async for message in ws:
        await socket.outbox.wait_for_room()
        text = message.data if message.type is WSMsgType.TEXT else ""
        try:
            await answer_frame(socket, text, line)
            malformed = 0
        except MalformedRequest as error:
            await line.empty()
            malformed += 1
            if malformed == MAX_MALFORMED:
                socket.closing = MALFORMED
            socket.outbox.reply(refusal(None, error, socket))
            if socket.closing == MALFORMED:
                return
    # Who sends a command and leaves is obeyed.
    await line.empty()


async def _write(
    ws: web.WebSocketResponse,
    socket: Socket,
    pulse: Pulse,
    transport: asyncio.Transport,
    drained: AbstractStreamWriter,
) -> None:
    outbox, pace = socket.outbox, Pace()
    try:
        while True:
            await outbox.wait()
            if ws.closed or transport.is_closing():
                return
            pulse.begin()
            # Frames of aiohttp's own, pings say, are whole writes as well. What is sent has no name
            # here, or an idle socket would keep it.
            transport.write(outbox.take())
            await drained.drain()
            pulse.end()
            if outbox.empty:
                await pace.rest()
            at_once = socket.closing in {MALFORMED, NO_KEY}
            ended = at_once or (socket.closing and not socket.streams)
            if ended and outbox.empty:
                return
    except ConnectionResetError:
        pass  # the client left


def _say_goaway(socket: Socket) -> None:
    """At a drain: tell the client; the socket is closed when its last stream has ended."""
    if socket.closing is not None:
        return
    socket.closing = DRAINED
    told = socket.service.goaway()
    socket.outbox.reply(
        GoAway(
            type="goaway",
            reason=told["reason"],
            reconnect_after_ms=told["reconnect_after_ms"],
        )
    )
