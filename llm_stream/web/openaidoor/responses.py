"""POST /v1/responses and what belongs to it: a run of generate that can be left and resumed."""

import re
from functools import partial
from typing import Any

from aiohttp import web

from llm_stream.engine.fold import Fold
from llm_stream.engine.run import Run
from llm_stream.errors import InvalidField, UnknownRun
from llm_stream.web import sse
from llm_stream.web.auth import principal_of
from llm_stream.web.bodies import read_object
from llm_stream.web.intake import Caller, new_claim
from llm_stream.web.negotiation import json_response, read_body
from llm_stream.web.openaidoor.answering import headers_of, streamed, whole
from llm_stream.web.openaidoor.reading import checked
from llm_stream.web.openaidoor.responsesasking import spec_of_response
from llm_stream.web.openaidoor.responsesreplies import run_id, snapshot
from llm_stream.web.openaidoor.responsesshapes import ResponsesBody
from llm_stream.web.openaidoor.responsesstream import ResponseStream
from llm_stream.web.service import REQUEST_ID, SERVICE
from llm_stream.web.starting import launch

routes = web.RouteTableDef()


@routes.post("/v1/responses")
async def respond(request: web.Request) -> web.StreamResponse:
    """Answer, whole or in events; in the background at once with what has come so far."""
    service = request.app[SERVICE]
    raw = await read_body(request)
    body = checked(ResponsesBody, read_object(raw))
    waits = not body.stream and not body.background
    principal = principal_of(request)
    detached = bool(body.background)
    caller = Caller(request[REQUEST_ID], new_claim(), principal, waits=waits, detached=detached)
    spec = service.specs.spec(
        request.path, raw, caller, lambda: spec_of_response(service, body, caller)
    )
    launched = await launch(service, spec, caller)
    run, headers = launched.run, headers_of(launched, caller)
    with run.subscribe() as subscription:
        if body.stream:
            framing = ResponseStream(run).framing
            return await streamed(request, run, subscription, headers, framing)
        if body.background:
            return json_response(_so_far(run), headers=headers)
        return await whole(run, subscription, headers, partial(snapshot, run))


@routes.get("/v1/responses/{run}", allow_head=False)
async def retrieve(request: web.Request) -> web.StreamResponse:
    """A response as far as it has come; `?stream=true&starting_after=` goes on with its events."""
    run = await _owned(request)
    headers = {"X-Run-Id": run.id}
    if request.query.get("stream") != "true":
        return json_response(_so_far(run), headers=headers)
    given = request.query.get("starting_after", "-1")
    if not re.fullmatch("-1|[0-9]{1,9}", given):
        raise InvalidField("?starting_after= has to be a sequence_number.", field="starting_after")
    if given != "-1":
        request.app[SERVICE].metrics.resumes.inc()
    told = ResponseStream(run, int(given))
    return await sse.stream(request, run.subscribe(), headers, told.framing)


@routes.post("/v1/responses/{run}/cancel")
async def cancel(request: web.Request) -> web.Response:
    """Want a response no more; ends it unless others share it. `?claim=` as for any run."""
    run = await _owned(request)
    told = await request.app[SERVICE].runs.release(run, request.query.get("claim"))
    fold = Fold(run.events())
    if told["state"] == "cancelled" and fold.terminal is None:
        # Its end is decided; its task only has not come to write it.
        fold.terminal = {"type": "run.cancelled", "reason": "requested"}
    return json_response(snapshot(run, fold), headers={"X-Run-Id": run.id})


async def _owned(request: web.Request) -> Run:
    name = request.match_info["run"]
    owner = principal_of(request).owner
    run = await request.app[SERVICE].runs.find(run_id(name), owner)
    if run.info.recipe != "generate":
        raise UnknownRun(f"There is no response {name[:100]!r}.")
    return run


def _so_far(run: Run) -> dict[str, Any]:
    return snapshot(run, Fold(run.events()))
