"""What a client can say on the socket. Every command is answered by one `reply`, in order."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog

from llm_stream.engine.run import Run
from llm_stream.errors import InternalError, MalformedRequest, StreamError, UnknownStream
from llm_stream.launcher import Launch
from llm_stream.web.auth import CANCEL, CREATE, READ, check_scope
from llm_stream.web.bodies import (
    FRAMES,
    Body,
    CancelFrame,
    PingFrame,
    StartFrame,
    StreamRequest,
    SubscribeFrame,
    UnsubscribeFrame,
    read_object,
    validate,
)
from llm_stream.web.frames import (
    Followed,
    NotFollowed,
    Refusal,
    Released,
    Started,
    Subscribed,
    Unsubscribed,
)
from llm_stream.web.intake import Caller
from llm_stream.web.line import Line, Turn
from llm_stream.web.problems import problem
from llm_stream.web.recipes import spec_of
from llm_stream.web.socket import Socket
from llm_stream.web.starting import launch

log = structlog.get_logger("llm_stream.socket")


async def answer_frame(socket: Socket, text: str, line: Line) -> None:
    """Obey one frame and put its reply into the outbox; of a start the reply may come later.

    Raises:
        MalformedRequest: the frame is not a JSON object with a known `type` (the caller's
            doing). Everything else that is wrong becomes a reply.
    """
    value = read_object(text)
    kind = value.get("type")
    model = FRAMES.get(kind) if isinstance(kind, str) else None
    if model is None:
        known = ", ".join(sorted(FRAMES))
        raise MalformedRequest(f"Field 'type' has to be one of {known}.", field="type")
    if model is StartFrame:
        await line.enter(lambda turn: _obey(socket, model, value, turn))
    else:
        await line.empty()
        await _obey(socket, model, value, Turn())


async def _obey(socket: Socket, model: type[Body], value: dict[str, Any], turn: Turn) -> None:
    frame_id = value.get("id")
    if not isinstance(frame_id, str):
        frame_id = None
    answer: Mapping[str, object]
    try:
        frame = validate(model, value)
        if frame_id is not None:
            socket.check_id(frame_id)
        answer = {"type": "reply", "id": frame_id, **await COMMANDS[model](socket, frame, turn)}
    except StreamError as error:
        answer = refusal(frame_id, error, socket)
    except Exception:
        # A bug in one command must not take the socket's other streams along.
        log.exception("command.crashed", request=socket.request, command=value["type"])
        bug = InternalError("The service failed on this command. Its log has the details.")
        answer = refusal(frame_id, bug, socket)
    await turn.come()
    socket.outbox.reply(answer)


def refusal(frame_id: str | None, error: StreamError, socket: Socket) -> Refusal:
    """The reply to a command that was refused."""
    body = problem(error, request=socket.request)
    return {"type": "reply", "id": frame_id, "status": body["status"], "error": body}


async def start(socket: Socket, frame: StartFrame, turn: Turn) -> Started:
    """Start a run, or join an equal one, and follow it from its beginning."""
    name = frame.stream or frame.id
    with socket.reserved(name) as free:
        if not free:
            await turn.come()
        socket.check_name(name)
        launched = await _launch(socket, frame, turn)
        # From here to the reply nothing is waited for, or events would come before it.
        await turn.come()
        socket.claim(launched.run)
        socket.open(name, launched.run, "0")
    run = launched.run
    reply = Started(
        status=202,
        stream=name,
        run=run.id,
        cache="joined" if launched.joined else run.info.cache,
    )
    log.info("start", request=socket.request, run=run.id, cache=reply["cache"])
    return reply


async def _launch(socket: Socket, frame: StartFrame, turn: Turn) -> Launch:
    service, principal = socket.service, socket.principal
    check_scope(principal, CREATE)
    if service.access.limits.counts(principal):
        await turn.come()  # the first that are asked for are those that are let in
    # The socket's own claim: its cancel, and its leaving, count for it once.
    caller = Caller(socket.request, socket.id, principal)
    spec = spec_of(service.intake, frame.recipe, frame.input, caller, "input.")
    return await launch(service, spec, caller, (socket.gate,), turn.come)


async def subscribe(socket: Socket, frame: SubscribeFrame, _turn: Turn) -> Subscribed:
    """Follow runs; each stream has its own status, so one that fails harms no other."""
    check_scope(socket.principal, READ)
    # At once: one whose replica does not answer keeps no other waiting.
    found = await asyncio.gather(*(_find(socket, asked) for asked in frame.streams))
    return {"status": 200, "streams": [_follow(socket, *each) for each in found]}


async def _find(socket: Socket, asked: StreamRequest) -> tuple[StreamRequest, Run | StreamError]:
    try:
        owner = socket.principal.owner
        return asked, await socket.service.runs.find(asked.run, owner, asked.after)
    except StreamError as error:
        return asked, error


def _follow(socket: Socket, asked: StreamRequest, run: Run | StreamError) -> Followed | NotFollowed:
    try:
        socket.check_name(asked.stream)
        if isinstance(run, StreamError):
            raise run
        socket.open(asked.stream, run, asked.after)
    except StreamError as error:
        body = problem(error, run=asked.run, request=socket.request)
        return {"stream": asked.stream, "status": body["status"], "error": body}
    if asked.after not in {"0", "now"}:
        socket.service.metrics.resumes.inc()
    return {"stream": asked.stream, "status": 200, "run": run.id}


async def unsubscribe(socket: Socket, frame: UnsubscribeFrame, _turn: Turn) -> Unsubscribed:
    """Leave a stream."""
    stream = socket.streams.get(frame.stream)
    if stream is None:
        raise UnknownStream(f"There is no stream {frame.stream[:100]!r} here.", field="stream")
    socket.close_stream(stream)
    return {"status": 200, "stream": frame.stream}


async def cancel(socket: Socket, frame: CancelFrame, _turn: Turn) -> Released:
    """Want a run no more. Asking twice releases this socket's claim once."""
    check_scope(socket.principal, CANCEL)
    runs = socket.service.runs
    run = await runs.find(frame.run, socket.principal.owner)
    return Released(status=200, run=run.id, **await runs.release(run, socket.id))


async def ping(_socket: Socket, _frame: PingFrame, _turn: Turn) -> dict[str, Any]:
    """Answer with a pong."""
    return {"type": "pong"}


COMMANDS: Final[dict[type[Body], Callable[[Any, Any, Turn], Awaitable[Mapping[str, object]]]]] = {
    StartFrame: start,
    SubscribeFrame: subscribe,
    UnsubscribeFrame: unsubscribe,
    CancelFrame: cancel,
    PingFrame: ping,
}
