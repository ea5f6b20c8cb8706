"""Plain HTTP: start a run, list, look, follow, cancel."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from llm_stream.engine.eventlog import Subscription
from llm_stream.engine.fold import Fold
from llm_stream.engine.run import Run
from llm_stream.errors import (
    InvalidField,
    NotAcceptable,
    RunCancelled,
    RunExpired,
    UnsupportedMediaType,
)
from llm_stream.launcher import Launch
from llm_stream.web import ndjson, sse
from llm_stream.web.bodies import read_object
from llm_stream.web.intake import Caller
from llm_stream.web.problems import problem_response
from llm_stream.web.recipes import spec_of
from llm_stream.web.service import REQUEST_ID, SERVICE, Service
from llm_stream.web.views import answer, run_headers, snapshot, summary

SSE_TYPE: Final = "text/event-stream"
JSON_TYPE: Final = "application/json"
NDJSON_TYPE: Final = "application/x-ndjson"
PAGE_EVENTS: Final = 1000
"""Most events in one page of GET /v1/runs/{id}/events, and most runs in one list."""

routes = web.RouteTableDef()


def json_response(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON response, encoded by orjson."""
    return web.Response(
        body=orjson.dumps(value), status=status, content_type=JSON_TYPE, headers=headers
    )


async def read_body(request: web.Request) -> bytes:
    """The body of a JSON request.

    Raises:
        UnsupportedMediaType: not declared as JSON, or compressed (the caller's doing).
    """
    if request.content_type != JSON_TYPE:
        raise UnsupportedMediaType(
            "Send the body as JSON, with 'Content-Type: application/json'.", field="Content-Type"
        )
    if hdrs.CONTENT_ENCODING in request.headers:
        raise UnsupportedMediaType(
            "Send the body uncompressed, without Content-Encoding.", field="Content-Encoding"
        )
    return await request.read()


def chosen_type(request: web.Request, *offers: str) -> str:
    """The media type to answer with: the one named in `Accept`, else the first offer.

    Raises:
        NotAcceptable: `Accept` excludes all offers (the caller's doing).
    """
    accepted = [
        part.partition(";")[0].strip().lower()
        for value in request.headers.getall(hdrs.ACCEPT, [])
        for part in value.split(",")
    ]
    for offer in offers:
        if offer in accepted:
            return offer
    kind = {"*/*", JSON_TYPE.partition("/")[0] + "/*", ""}
    if not accepted or kind & set(accepted) or "application/problem+json" in accepted:
        return offers[0]
    if "text/*" in accepted and SSE_TYPE in offers:
        return SSE_TYPE
    raise NotAcceptable(f"This call answers with {' or '.join(offers)}.", field="Accept")


def owned(request: web.Request) -> Run:
    """The run named in the path."""
    return request.config_dict[SERVICE].registry.find(request.match_info["run"])


async def start(request: web.Request) -> web.StreamResponse:
    """Start a run of the recipe that is the path's last word: wait and fold, stream, or 202."""
    service = request.config_dict[SERVICE]
    recipe = request.path.rpartition("/")[2]
    body = await read_body(request)
    offers = (JSON_TYPE, SSE_TYPE) if recipe != "batch" else (JSON_TYPE, SSE_TYPE, NDJSON_TYPE)
    kind = chosen_type(request, *offers)
    detached = "respond-async" in request.headers.get("Prefer", "")
    # With an idempotency key a lost JSON call can be asked again, so its run gets the grace.
    waits = kind == JSON_TYPE and not detached and "Idempotency-Key" not in request.headers
    caller = Caller(request[REQUEST_ID], waits=waits, detached=detached)
    launch = _launch(request, service, body, caller)
    headers = run_headers(launch.run, joined=launch.joined)
    if detached:
        location = f"/v1/runs/{launch.run.id}"
        headers |= {"Location": location, "Preference-Applied": "respond-async"}
        value = summary(launch.run) | {"events": f"{location}/events"}
        return json_response(value, status=202, headers=headers)
    with launch.run.subscribe() as subscription:
        if kind == SSE_TYPE:
            # The run's task takes its first step, and fails in it if nothing was ever sent to
            # a model (no key, no weights): then there is still a status to say so with.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if launch.run.state != "failed":
                return await sse.stream(request, subscription, headers)
        if kind == NDJSON_TYPE:
            return await ndjson.stream(request, subscription, headers)
        return await _fold(launch, subscription, headers)


def _launch(request: web.Request, service: Service, body: bytes, caller: Caller) -> Launch:
    """Start, join, or find again by `Idempotency-Key`. No await: equal keys cannot race."""
    key = request.headers.get("Idempotency-Key")
    if key and (known := service.idempotency.find(caller.owner, request.path, key, body)):
        try:
            run = service.registry.find(known)
            if not run.ending or run.state != "cancelled":
                return Launch(run, joined=True)
        except RunExpired:
            pass  # the answer is gone; the key starts it anew
    spec = spec_of(service.intake, request.path.rpartition("/")[2], read_object(body), caller)
    launch = service.launcher.launch(spec)
    if launch.joined:
        service.metrics.joins.inc()
    if key:
        service.idempotency.remember(caller.owner, request.path, key, body, launch.run.id)
    return launch


async def _fold(
    launch: Launch, subscription: Subscription, headers: dict[str, str]
) -> web.Response:
    fold = Fold()
    async for events in subscription.batches():
        for event in events:
            fold.add(event)
    terminal = fold.terminal or {}
    if terminal["type"] == "run.completed":
        return json_response(answer(launch.run, fold, joined=launch.joined), headers=headers)
    if terminal["type"] == "run.failed":
        return problem_response(terminal["error"])
    raise RunCancelled(
        f"The run was cancelled ({terminal['reason']}). GET /v1/runs/{launch.run.id} has what "
        "had come by then.",
        run=launch.run.id,
    )


@routes.get("/v1/runs")
async def list_runs(request: web.Request) -> web.Response:
    """Newest first; `?state=`, `?limit=` (1 to 1000, default 50), `?hidden=true`."""
    registry = request.config_dict[SERVICE].registry
    limit = _number(request, "limit", 50)
    state = request.query.get("state")
    runs = registry.newest(hidden=request.query.get("hidden") == "true")
    chosen = [run for run in runs if state in {None, run.state}]
    return json_response({"runs": [summary(run) for run in chosen[:limit]], "total": len(chosen)})


@routes.get("/v1/runs/{run}")
async def get_run(request: web.Request) -> web.Response:
    """The snapshot of one run."""
    return json_response(snapshot(owned(request)))


@routes.get("/v1/runs/{run}/events", allow_head=False)
async def get_events(request: web.Request) -> web.StreamResponse:
    """Follow (SSE) or page (JSON) behind a cursor; 204 if nothing can follow it."""
    run = owned(request)
    after = sse.cursor_of(request)
    if chosen_type(request, JSON_TYPE, SSE_TYPE) == SSE_TYPE:
        subscription = run.subscribe(after)
        if after not in {"0", "now"}:
            request.config_dict[SERVICE].metrics.resumes.inc()
        if subscription.ended:
            subscription.close()
            # EventSource reconnects after a clean end; only this status stops it.
            return web.Response(status=204, headers={"X-Run-Id": run.id})
        return await sse.stream(request, subscription, {"X-Run-Id": run.id})
    start = run.log.locate(after)
    page = run.log.slice(start, limit=_number(request, "limit", 100))
    more = start + len(page) < len(run.log)
    body = b'{"events":[%b],"cursor":%b,"more":%b,"ended":%b}' % (
        b",".join([event.data for event in page]),
        orjson.dumps(page[-1].position if page else run.log.cursor if after == "now" else after),
        orjson.dumps(more),
        orjson.dumps(run.done and not more),
    )
    return web.Response(body=body, content_type=JSON_TYPE, headers={"X-Run-Id": run.id})


@routes.post("/v1/runs/{run}/cancel")
async def cancel_run(request: web.Request) -> web.Response:
    """Want the run no more; ends it unless others share it. Idempotent."""
    return json_response(cancel_reply(owned(request)))


def cancel_reply(run: Run) -> dict[str, Any]:
    """Release one claim on the run, and say what came of it."""
    ended = run.release()
    return {
        "run": run.id,
        "state": "cancelled" if ended else run.state,
        "shared": not ended and not run.done and run.claims > 0,
    }


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= PAGE_EVENTS):
        raise InvalidField(f"?{name}= has to be a number from 1 to {PAGE_EVENTS}.", field=name)
    return int(text)
