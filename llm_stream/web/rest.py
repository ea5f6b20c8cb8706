"""Plain HTTP: start a run, list, look, follow, cancel."""

import asyncio
import re
from typing import Final, get_args

import orjson
from aiohttp import web

from llm_stream.engine.fold import Fold
from llm_stream.engine.replay import Replay
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import State
from llm_stream.engine.subscription import Subscription
from llm_stream.errors import InvalidField, RunCancelled
from llm_stream.events import position_of
from llm_stream.launcher import Launch
from llm_stream.recipes.spec import RunSpec
from llm_stream.web import ndjson, sse
from llm_stream.web.auth import principal_of
from llm_stream.web.bodies import read_object
from llm_stream.web.express import EXPRESS
from llm_stream.web.intake import Caller
from llm_stream.web.keyed import claim_for, key_of, launch_once
from llm_stream.web.negotiation import (
    JSON_TYPE,
    NDJSON_TYPE,
    SSE_TYPE,
    chosen_type,
    json_response,
    read_body,
)
from llm_stream.web.problems import problem_response
from llm_stream.web.recipes import spec_of
from llm_stream.web.service import REQUEST_ID, SERVICE, Service
from llm_stream.web.starting import failed_unsent
from llm_stream.web.views import answer, replayed, run_headers, snapshot, summary, summary_line

PAGE_EVENTS: Final = 1000
"""Most events in one page of GET /v1/runs/{id}/events, and most runs in one list."""

FOLDED_EVENTS: Final = 1000
"""How many events a plain call takes at once: the loop has to go on meanwhile."""

STATES: Final = get_args(State)

routes = web.RouteTableDef()


async def owned(request: web.Request, after: str = "0") -> Run:
    """The run named in the path, to be read behind a cursor."""
    service = request.config_dict[SERVICE]
    owner = principal_of(request).owner
    return await service.runs.find(request.match_info["run"], owner, after)


async def start(request: web.Request) -> web.StreamResponse:
    """Start a run of the recipe that is the path's last word: wait and fold, stream, or 202."""
    service = request.app[SERVICE]
    recipe = request.path.rpartition("/")[2]
    body = await read_body(request)
    offers = (JSON_TYPE, SSE_TYPE) if recipe != "batch" else (JSON_TYPE, SSE_TYPE, NDJSON_TYPE)
    kind = chosen_type(request, *offers)
    caller = caller_of(request, kind)
    launched = await launch_once(
        request, body, caller, lambda: _spec(request, service, body, caller)
    )
    if kind != NDJSON_TYPE and isinstance(launched.run, Replay):
        request.app[EXPRESS].learn(request, body, caller, launched.run)
    return await respond(request, launched, caller, kind)


def caller_of(request: web.Request, kind: str) -> Caller:
    """Who asks, and how it will read an answer of this media type."""
    detached = "respond-async" in request.headers.get("Prefer", "")
    waits = kind == JSON_TYPE and not detached and key_of(request) is None
    principal = principal_of(request)
    claim = claim_for(request, principal.owner)
    return Caller(request[REQUEST_ID], claim, principal, waits=waits, detached=detached)


async def respond(
    request: web.Request, launch: Launch, caller: Caller, kind: str
) -> web.StreamResponse:
    """Answer with a run: 202 if the caller does not stay, else as a stream or folded."""
    headers = run_headers(launch.run, joined=launch.joined) | {"X-Run-Claim": caller.claim}
    if caller.detached:
        if isinstance(launch.run, Replay):
            # Its reader comes by its id, and maybe to another replica, which has to find it.
            launch.run.subscribe().close()
        location = f"/v1/runs/{launch.run.id}"
        headers |= {"Location": location, "Preference-Applied": "respond-async"}
        value = summary(launch.run) | {"events": f"{location}/events"}
        return json_response(value, status=202, headers=headers)
    if isinstance(launch.run, Replay) and kind == JSON_TYPE:
        body = replayed(launch.run.info, launch.run.recording)
        return web.Response(body=body, content_type=JSON_TYPE, headers=headers)
    with launch.run.subscribe() as subscription:
        if kind == SSE_TYPE:
            # The run's task takes its first step, and fails in it if nothing was ever sent to
            # a model (no key, no weights): then there is still a status to say so with.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if not failed_unsent(launch):
                return await sse.stream(request, subscription, headers)
        if kind == NDJSON_TYPE:
            return await ndjson.stream(request, subscription, headers)
        return await _fold(launch, subscription, headers)


def _spec(request: web.Request, service: Service, body: bytes, caller: Caller) -> RunSpec:
    recipe = request.path.rpartition("/")[2]
    return service.specs.spec(
        recipe, body, caller, lambda: spec_of(service.intake, recipe, read_object(body), caller)
    )


async def _fold(
    launch: Launch, subscription: Subscription, headers: dict[str, str]
) -> web.Response:
    fold = Fold()
    async for events in subscription.batches(FOLDED_EVENTS):
        fold.extend(events)
    terminal = fold.terminal or {}
    if terminal["type"] == "run.completed":
        return json_response(answer(launch.run.info, fold, joined=launch.joined), headers=headers)
    if terminal["type"] == "run.failed":
        response = problem_response(terminal["error"])
        response.headers.update(headers)
        return response
    raise RunCancelled(
        f"The run was cancelled ({terminal['reason']}). GET /v1/runs/{launch.run.id} has what "
        "had come by then.",
        run=launch.run.id,
    )


@routes.get("/v1/runs")
async def list_runs(request: web.Request) -> web.Response:
    """Newest first; `?state=`, `?recipe=`, `?limit=` (1 to 1000, default 50), `?hidden=true`.

    `complete` is false where other replicas' runs may be missing, and only then there.
    """
    service = request.config_dict[SERVICE]
    limit = number_of(request, "limit", 50)
    state, recipe = request.query.get("state"), request.query.get("recipe")
    if state not in {None, *STATES}:
        raise InvalidField(f"?state= has to be one of {', '.join(STATES)}.", field="state")
    owner, hidden = principal_of(request).owner, request.query.get("hidden") == "true"
    lines, complete = await service.runs.newest(owner, others=PAGE_EVENTS, hidden=hidden)
    chosen = [
        line for line in lines if state in {None, line.state} and recipe in {None, line.info.recipe}
    ]
    runs = [summary_line(line) for line in chosen[:limit]]
    told = {"runs": runs, "total": len(chosen)}
    return json_response(told if complete else told | {"complete": False})


@routes.get("/v1/runs/{run}")
async def get_run(request: web.Request) -> web.Response:
    """The snapshot of one run."""
    return json_response(snapshot(await owned(request)))


@routes.get("/v1/runs/{run}/events", allow_head=False)
async def get_events(request: web.Request) -> web.StreamResponse:
    """Follow (SSE) or page (JSON) behind a cursor; 204 if nothing can follow it."""
    after = sse.asked_cursor(request)
    run = await owned(request, after)
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
    page = run.log.slice(start, limit=number_of(request, "limit", 100))
    more = start + len(page) < len(run.log)
    gap = run.log.gap_at(start, after)
    if gap:
        request.config_dict[SERVICE].metrics.gaps.inc()
    body = b'{"events":[%b],%b"cursor":%b,"more":%b,"ended":%b}' % (
        b",".join(page),
        b'"gap":%b,' % orjson.dumps(gap._asdict()) if gap else b"",
        orjson.dumps(
            position_of(page[-1]) if page else run.log.cursor if after == "now" else after
        ),
        orjson.dumps(more),
        orjson.dumps(run.done and not more),
    )
    return web.Response(body=body, content_type=JSON_TYPE, headers={"X-Run-Id": run.id})


@routes.post("/v1/runs/{run}/cancel")
async def cancel_run(request: web.Request) -> web.Response:
    """Want the run no more; ends it unless others share it. Idempotent.

    `?claim=` is the `X-Run-Claim` of the reply that launched or joined it.
    """
    run = await owned(request)
    told = await request.config_dict[SERVICE].runs.release(run, request.query.get("claim"))
    return json_response({"run": run.id, **told})


def number_of(
    request: web.Request, name: str, default: int, *, least: int = 1, most: int = PAGE_EVENTS
) -> int:
    """A number of the query, from `least` to `most`, which has nine digits at most.

    Raises:
        InvalidField: it is anything else (the caller's doing).
    """
    text = request.query.get(name, str(default))
    # Bounded before it becomes a number: Python refuses to read numbers of thousands of digits.
    number = int(text) if re.fullmatch("[0-9]{1,9}", text) else -1
    if not least <= number <= most:
        raise InvalidField(f"?{name}= has to be a number from {least} to {most}.", field=name)
    return number
