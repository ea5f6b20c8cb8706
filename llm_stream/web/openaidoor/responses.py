"""POST /v1/responses and what belongs to it: a run of generate that can be left and resumed."""

import re
from functools import partial
from typing import Any, Final

from aiohttp import web

from llm_stream.engine.fold import Fold
from llm_stream.engine.run import Run
from llm_stream.errors import InvalidField, UnknownRun
from llm_stream.recipes.spec import RunSpec
from llm_stream.web import sse
from llm_stream.web.auth import principal_of
from llm_stream.web.bodies import read_object
from llm_stream.web.intake import Caller
from llm_stream.web.keyed import claim_for, key_of, launch_once
from llm_stream.web.negotiation import json_response, read_body
from llm_stream.web.openaidoor.answering import headers_of, streamed, whole
from llm_stream.web.openaidoor.earlier import Earlier
from llm_stream.web.openaidoor.reading import checked
from llm_stream.web.openaidoor.responsesasking import spec_of_response
from llm_stream.web.openaidoor.responsesreplies import run_id, snapshot, told_of
from llm_stream.web.openaidoor.responsesshapes import ResponsesBody
from llm_stream.web.openaidoor.responsesstream import ResponseStream
from llm_stream.web.service import REQUEST_ID, SERVICE

EARLIER: Final = web.AppKey("earlier", Earlier)

routes = web.RouteTableDef()


@routes.post("/v1/responses")
async def respond(request: web.Request) -> web.StreamResponse:
    """Answer, whole or in events; in the background at once with what has come so far."""
    service = request.app[SERVICE]
    raw = await read_body(request)
    body = checked(ResponsesBody, read_object(raw))
    detached = bool(body.background)
    waits = not body.stream and not detached and key_of(request) is None
    principal = principal_of(request)
    claim = claim_for(request, principal.owner)
    caller = Caller(request[REQUEST_ID], claim, principal, waits=waits, detached=detached)

    previous, earlier = body.previous_response_id, request.app[EARLIER]
    before = await earlier.conversation(previous, caller.owner) if previous else ()

    asked: list[RunSpec] = []

    def make() -> RunSpec:
        return spec_of_response(service, body, caller, before)

    def spec() -> RunSpec:
        # What goes on from others may be long, however short its own body is.
        made = make() if before else service.specs.spec(request.path, raw, caller, make)
        asked.append(made)
        return made

    launched = await launch_once(request, raw, caller, spec)
    told = told_of(body)
    earlier.note(launched.run, asked[0], told)
    run, headers = launched.run, headers_of(launched, caller)
    with run.subscribe() as subscription:
        if body.stream:
            framing = ResponseStream(run, told).framing
            return await streamed(request, run, subscription, headers, framing)
        if body.background:
            return json_response(_so_far(run, told), headers=headers)
        return await whole(run, subscription, headers, partial(snapshot, run, told=told))


@routes.get("/v1/responses/{run}", allow_head=False)
async def retrieve(request: web.Request) -> web.StreamResponse:
    """A response as far as it has come; `?stream=true&starting_after=` goes on with its events."""
    run = await _owned(request)
    told = await request.app[EARLIER].told(run)
    headers = {"X-Run-Id": run.id}
    if request.query.get("stream") != "true":
        return json_response(_so_far(run, told), headers=headers)
    given = request.query.get("starting_after", "-1")
    if not re.fullmatch("-1|[0-9]{1,9}", given):
        raise InvalidField("?starting_after= has to be a sequence_number.", field="starting_after")
    if given != "-1":
        request.app[SERVICE].metrics.resumes.inc()
    framing = ResponseStream(run, told, int(given)).framing
    return await sse.stream(request, run.subscribe(), headers, framing)


@routes.post("/v1/responses/{run}/cancel")
async def cancel(request: web.Request) -> web.Response:
    """Want a response no more; ends it unless others share it. `?claim=` as for any run."""
    run = await _owned(request)
    released = await request.app[SERVICE].runs.release(run, request.query.get("claim"))
    told = await request.app[EARLIER].told(run)
    fold = Fold(run.events())
    if released["state"] == "cancelled" and fold.terminal is None:
        # Its end is decided; its task only has not come to write it.
        fold.terminal = {"type": "run.cancelled", "reason": "requested"}
    return json_response(snapshot(run, fold, told), headers={"X-Run-Id": run.id})


async def _owned(request: web.Request) -> Run:
    name = request.match_info["run"]
    owner = principal_of(request).owner
    run = await request.app[SERVICE].runs.find(run_id(name), owner)
    if run.info.recipe != "generate":
        raise UnknownRun(f"There is no response {name[:100]!r}.")
    return run


def _so_far(run: Run, told: dict[str, Any]) -> dict[str, Any]:
    return snapshot(run, Fold(run.events()), told)
