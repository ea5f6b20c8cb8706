"""Runs of the past over HTTP: what the history has of them once their events are gone."""

import re
from dataclasses import fields
from typing import Any, Final, get_args

from aiohttp import web

from llm_stream.engine.runinfo import State
from llm_stream.errors import InvalidField, NotFound, UnknownRun
from llm_stream.history.past import Asked, Past
from llm_stream.history.snapshots import Line, Snapshot
from llm_stream.web.auth import principal_of
from llm_stream.web.negotiation import json_response
from llm_stream.web.problems import TABLE
from llm_stream.web.recipes import RECIPES
from llm_stream.web.rest import number_of
from llm_stream.web.service import SERVICE
from llm_stream.web.usage import stamp

ENDS: Final = tuple(state for state in get_args(State) if state not in {"queued", "running"})

TITLES: Final = {error.code: row.title for error, row in TABLE.items()}

routes = web.RouteTableDef()


@routes.get("/v1/history")
async def list_past(request: web.Request) -> web.Response:
    """Newest first; `?limit=` (1 to 1000, default 50), `?before=` a run, `?recipe=`, `?state=`.

    `next` is what to give as `before` for the page that follows; null if there is none.
    """
    limit = number_of(request, "limit", 50)
    before = request.query.get("before")
    if before is not None and not re.fullmatch(r"[!-~]{1,100}", before):
        raise InvalidField("?before= takes the id of a run, or `next` of a page.", field="before")
    asked = Asked(
        principal_of(request).owner,
        limit + 1,
        before,
        recipe=_one_of(request, "recipe", tuple(RECIPES)),
        state=_one_of(request, "state", ENDS),
    )
    lines = await _past(request).newest(asked)
    more = len(lines) > limit
    return json_response(
        {
            "runs": [told(line) for line in lines[:limit]],
            "next": lines[limit - 1].run if more else None,
        }
    )


@routes.get("/v1/history/{run}")
async def get_past(request: web.Request) -> web.Response:
    """What is recorded of one run."""
    run = request.match_info["run"]
    found = await _past(request).run(run, principal_of(request).owner)
    if found is None:
        raise UnknownRun("The history has no such run of yours; it keeps runs that have ended.")
    return json_response(shown(found))


def _past(request: web.Request) -> Past:
    history = request.config_dict[SERVICE].history
    if history is None:
        raise NotFound("There is nothing of the past: the history is switched off.")
    return history.past


def _one_of(request: web.Request, name: str, known: tuple[str, ...]) -> str | None:
    value = request.query.get(name)
    if value is not None and value not in known:
        raise InvalidField(f"?{name}= takes one of {', '.join(known)}.", field=name)
    return value


def told(line: Line) -> dict[str, Any]:
    """A run in the list, its fields named as in GET /v1/runs."""
    return {
        "id": line.run,
        "recipe": line.recipe,
        "model": line.model,
        "state": line.state,
        "title": line.title,
        "key": line.key,
        "created_at": stamp(line.created_at),
        "ended_at": stamp(line.ended_at),
        "error_code": line.error_code,
        "partial": line.partial,
        "statistics": {
            "state": line.state,
            "first_token_ms": line.first_token_ms,
            "total_ms": line.total_ms,
            "input_tokens": line.input_tokens,
            "output_tokens": line.output_tokens,
        },
    }


def shown(found: Snapshot) -> dict[str, Any]:
    """All that is recorded, its fields named as in GET /v1/runs/{id}."""
    said = {each.name: getattr(found, each.name) for each in fields(found)}
    del said["line"]
    said["messages"] = [message._asdict() for message in found.messages]
    said["runs"] = [told(line) for line in found.runs]
    said["reasoning"] = found.reasoning or None
    body = told(found.line) | said
    code = found.line.error_code
    if found.line.state == "failed" and code in TITLES:
        body["error"] = {"code": code, "title": TITLES[code], "type": f"/docs/errors#{code}"}
    if found.line.state == "cancelled":
        body["reason"] = code
    return body
