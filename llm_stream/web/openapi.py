"""GET /openapi.json: the HTTP surface, out of the models that validate it.

Shapes of requests are pydantic's own schemas of them, so they cannot differ from what is checked.
Answers are told by the names they always have; docs/api.md says what those mean.
"""

from functools import cache
from typing import Final

import orjson
from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from llm_stream import __version__
from llm_stream.web import director, entries, rest
from llm_stream.web.auth import ANY, NEEDS, PUBLIC
from llm_stream.web.bodies import RenderBody
from llm_stream.web.negotiation import JSON_TYPE, NDJSON_TYPE, SSE_TYPE
from llm_stream.web.openaidoor import operations as theirs
from llm_stream.web.operation import EVENTS, TEXT, Operation, Schema, a_number, an_object, as_json
from llm_stream.web.problems import TABLE
from llm_stream.web.recipes import RECIPES

PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "A problem as of RFC 9457; /docs/errors explains each code.",
    "required": ["type", "title", "status", "detail", "code", "retryable", "request"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": TEXT,
        "code": {"enum": sorted(error.code for error in TABLE)},
        "retryable": {"type": "boolean"},
        "retry_after_ms": {"type": "integer", "minimum": 0},
        "field": TEXT,
        "run": TEXT,
        "request": TEXT,
    },
}

KEY: Final = "clientKey"
"""A client key; where the operator has made none, nobody needs one."""

routes = web.RouteTableDef()


RUN: Final = ("id", "recipe", "model", "state", "cursor", "created_at", "statistics")
ANSWER: Final = ("id", "recipe", "model", "usage", "cached", "cache", "timings", "attempts")
STREAMED: Final = {JSON_TYPE: an_object(*ANSWER), SSE_TYPE: EVENTS}
STARTED: Final[dict[int, dict[str, Schema] | None]] = {
    200: STREAMED,
    202: {JSON_TYPE: an_object(*RUN, "events")},
}
START_HEADERS: Final = {"Prefer": TEXT, "Idempotency-Key": TEXT}
ENTRY: Final = ("key", "stored_at", "age_seconds", "ttl_seconds")
LIST_LIMIT: Final = a_number(1, 1000)


def _start(name: str, shape: type[BaseModel]) -> Operation:
    answers = dict(STARTED)
    if name == "batch":
        answers[200] = {**STREAMED, NDJSON_TYPE: TEXT}
    return Operation(f"Start a run of {name}.", answers, shape, headers=START_HEADERS)


OPERATIONS: Final[dict[str, Operation]] = {
    **{f"POST /v1/{name}": _start(name, shape) for name, (shape, _) in RECIPES.items()},
    "GET /v1/runs": Operation(
        "Runs, newest first.",
        as_json("runs", "total"),
        query={
            "limit": LIST_LIMIT,
            "state": {"enum": [*rest.STATES]},
            "hidden": {"type": "boolean"},
        },
    ),
    "GET /v1/runs/{run}": Operation("The snapshot of a run.", as_json(*RUN, "text", "items")),
    "GET /v1/runs/{run}/events": Operation(
        "Follow a run, or page through its events, behind a cursor.",
        {
            200: {JSON_TYPE: an_object("events", "cursor", "more", "ended"), SSE_TYPE: EVENTS},
            204: None,
        },
        query={"after": TEXT, "limit": LIST_LIMIT},
        headers={"Last-Event-ID": TEXT},
    ),
    "POST /v1/runs/{run}/cancel": Operation(
        "Want a run no more.", as_json("run", "state", "shared"), query={"claim": TEXT}
    ),
    "GET /v1/cache": Operation(
        "What the cache keeps.",
        as_json("entries", "total", "statistics"),
        query={"limit": LIST_LIMIT, "skip": a_number(0, entries.MOST_SKIPPED)}
        | dict.fromkeys(entries.KINDS, TEXT),
    ),
    "GET /v1/cache/{key}": Operation("One entry with its answer.", as_json(*ENTRY, "answer")),
    "DELETE /v1/cache/{key}": Operation("Drop an entry.", as_json("dropped")),
    "POST /v1/cache/invalidate": Operation(
        "Drop entries by what they have in common.", as_json("dropped"), entries.InvalidateBody
    ),
    "POST /v1/cache/{key}/refresh": Operation(
        "Compute an entry anew.", STARTED, headers=START_HEADERS
    ),
    **theirs.OPERATIONS,
    "POST /query": Operation(
        "Answer a Director's prompt.", as_json("response", "model"), director.QueryBody
    ),
    "POST /evaluate_sufficiency": Operation(
        "Judge a stage for a Director.",
        as_json("is_sufficient", "reasoning", "partial"),
        director.SufficiencyBody,
    ),
    "POST /v1/tickets": Operation(
        "A ticket in place of a key, for one socket or one stream.",
        {201: {JSON_TYPE: an_object("ticket", "subprotocol", "expires_in_seconds")}},
    ),
    "GET /v1/usage": Operation(
        "What was asked, and what it has cost.",
        as_json("group_by", "since", "until", "oldest", "groups", "total", "not_recorded"),
        query={"group_by": TEXT, "since": TEXT},
    ),
    "GET /v1/models": Operation("All models.", as_json("object", "data", "aliases", "faults")),
    "GET /v1/models/{name}": Operation("A model.", as_json("id", "object", "options")),
    "GET /v1/templates": Operation("All templates.", as_json("templates")),
    "GET /v1/templates/{name}": Operation("A template.", as_json("name", "hash", "variables")),
    "POST /v1/templates/{name}/render": Operation(
        "What a model would be asked.", as_json("template", "system", "prompt"), RenderBody
    ),
    "GET /v1/ws": Operation("The WebSocket, see /docs/protocol.", {101: None}),
    "GET /livez": Operation("Whether the process is alive.", {200: {"text/plain": TEXT}}),
    "GET /readyz": Operation(
        "Whether runs can start.",
        {
            200: {JSON_TYPE: an_object("ready", "missing", "degraded")},
            503: {JSON_TYPE: an_object("ready", "missing", "degraded")},
        },
    ),
    "GET /health": Operation(
        "Components in detail.", as_json("status", "version", "runs", "models")
    ),
    "GET /metrics": Operation("Prometheus, if switched on.", {200: {"text/plain": TEXT}}),
    "GET /openapi.json": Operation("This document.", as_json("openapi", "paths")),
}


@cache
def document() -> bytes:
    """The document, as JSON of OpenAPI 3.1."""
    shapes = {operation.body for operation in OPERATIONS.values()} - {None}
    names, schemas = models_json_schema(
        [(shape, "validation") for shape in sorted(shapes, key=str) if shape],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, dict[str, Schema]] = {}
    for name, operation in OPERATIONS.items():
        method, _, path = name.partition(" ")
        body = None if operation.body is None else names[operation.body, "validation"]
        need = NEEDS[name]
        scopes = [] if need == ANY else [need]
        paths.setdefault(path, {})[method.lower()] = _described(path, operation, body) | {
            "security": [] if need == PUBLIC else [{KEY: scopes}, {}]
        }
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "llm-stream", "version": __version__},
            "paths": paths,
            "components": {
                "schemas": {**schemas["$defs"], "Problem": PROBLEM},
                "securitySchemes": {KEY: {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _described(path: str, operation: Operation, body: Schema | None) -> Schema:
    places = [("path", name, TEXT) for name in ("run", "key", "name") if f"{{{name}}}" in path]
    places += [("query", name, schema) for name, schema in operation.query.items()]
    places += [("header", name, schema) for name, schema in operation.headers.items()]
    problem = {"application/problem+json": {"$ref": "#/components/schemas/Problem"}}
    failures = {m: {"schema": s} for m, s in (operation.failures or problem).items()}
    told: Schema = {
        "summary": operation.summary,
        "responses": {
            str(status): {"description": operation.summary}
            | ({} if media is None else {"content": {m: {"schema": s} for m, s in media.items()}})
            for status, media in operation.answers.items()
        }
        | {
            "4XX": {"description": "The caller's doing.", "content": failures},
            "5XX": {"description": "The model's or the service's doing.", "content": failures},
        },
    }
    if places:
        told["parameters"] = [
            {"in": where, "name": name, "required": where == "path", "schema": schema}
            for where, name, schema in places
        ]
    if body is not None:
        told["requestBody"] = {"required": True, "content": {JSON_TYPE: {"schema": body}}}
    return told


@routes.get("/openapi.json")
async def openapi(_request: web.Request) -> web.Response:
    """The document."""
    return web.Response(body=document(), content_type=JSON_TYPE)
