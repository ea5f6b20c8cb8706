"""Every operation of the HTTP surface: what GET /openapi.json says of it."""

from typing import Any, Final, get_args

from pydantic import BaseModel

from llm_stream.engine.runinfo import State
from llm_stream.payloads import Timings, TokenCounts
from llm_stream.web import director, entries
from llm_stream.web.bodies import RenderBody
from llm_stream.web.negotiation import JSON_TYPE, NDJSON_TYPE, SSE_TYPE
from llm_stream.web.openaidoor import operations as theirs
from llm_stream.web.operation import (
    RUN_EVENTS,
    TEXT,
    Operation,
    Schema,
    a_list,
    a_number,
    an_object,
    as_json,
)
from llm_stream.web.recipes import RECIPES
from llm_stream.web.shapes import PREFIX, ref

FLAG: Final[Schema] = {"type": "boolean"}
COUNT: Final = a_number(0, 1 << 53)
STATE: Final[Schema] = {"enum": [*get_args(State)]}
MAYBE: Final[Schema] = {"type": ["string", "null"]}

RUN: Final[dict[str, Schema]] = {
    "id": TEXT,
    "recipe": TEXT,
    "model": TEXT,
    "state": STATE,
    "cursor": TEXT,
    "created_at": {"type": "string", "format": "date-time"},
    "statistics": {"type": "object"},
}
PAST: Final[dict[str, Schema]] = {
    **{name: schema for name, schema in RUN.items() if name != "cursor"},
    "title": TEXT,
    "key": TEXT,
    "ended_at": {"type": "string", "format": "date-time"},
    "error_code": MAYBE,
    "partial": FLAG,
}
MESSAGE: Final = an_object(role=TEXT, content=TEXT)
SAID: Final[dict[str, Schema]] = {
    "text": TEXT,
    "data": {},
    "reasoning": MAYBE,
    "tool_calls": a_list({"type": "object"}),
    "finish_reason": MAYBE,
}
"""What an answer has if there is such a thing; a recipe's result stands beside it."""

ANSWER: Final = an_object(
    id=TEXT,
    recipe=TEXT,
    model=TEXT,
    usage=ref(TokenCounts),
    cached=FLAG,
    cache=an_object(status={"enum": ["miss", "hit", "joined", "bypass"]}, key=TEXT),
    timings=ref(Timings),
    attempts=COUNT,
    may=SAID,
)
STREAMED: Final = {JSON_TYPE: ANSWER, SSE_TYPE: RUN_EVENTS}
STARTED: Final[dict[int, dict[str, Schema] | None]] = {
    200: STREAMED,
    202: {JSON_TYPE: an_object("events", **RUN)},
}
EVENTS_PAGE: Final = an_object(
    events=a_list({"$ref": f"{PREFIX}Event"}), cursor=TEXT, more=FLAG, ended=FLAG
)
START_HEADERS: Final = {"Prefer": TEXT, "Idempotency-Key": TEXT}
ENTRY: Final = ("key", "stored_at", "age_seconds", "ttl_seconds")
LIST_LIMIT: Final = a_number(1, 1000)


TAGS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "Runs": (
        "Start a run; read, follow, resume and cancel it.",
        ("/v1/generate", "/v1/evaluate", "/v1/breakdown", "/v1/reason", "/v1/batch", "/v1/runs"),
    ),
    "WebSocket": ("Many runs on one connection.", ("/v1/ws", "/v1/tickets")),
    "OpenAI's SDKs": ("What they call.", ("/v1/chat", "/v1/responses")),
    "Directors": ("What existing ones call.", ("/query", "/evaluate_sufficiency")),
    "Models and templates": (
        "What there is to name in a request.",
        ("/v1/models", "/v1/templates"),
    ),
    "Cache": ("Answers that are kept.", ("/v1/cache",)),
    "History": ("Runs of the past.", ("/v1/history",)),
    "Account": ("What was spent.", ("/v1/usage",)),
    "Service": ("How it is, and what describes it.", ("/",)),
}
"""A group of operations -> what it is for, and how the paths begin that are of it. First wins."""

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "generate": {"prompt": "Name three pages that every web shop has."},
    "evaluate": {
        "stage_name": "design",
        "criteria": ["The pages are listed", {"id": "pay", "title": "Payment is agreed"}],
        "documents": [{"id": "notes", "text": "Pages: start, basket, checkout. Cards and cash."}],
    },
    "breakdown": {"task": "Import the old shop's orders", "max_tasks": 4},
    "reason": {"question": "Should a small shop build its own basket?", "strategy": "critique"},
    "batch": {
        "requests": [
            {"id": "basket", "input": {"prompt": "Describe a basket in a sentence."}},
            {"id": "checkout", "input": {"prompt": "Describe a checkout in a sentence."}},
        ]
    },
}
"""Recipe -> a body that starts a run on every service."""


def _start(name: str, shape: type[BaseModel]) -> Operation:
    answers = dict(STARTED)
    if name == "batch":
        answers[200] = {**STREAMED, NDJSON_TYPE: TEXT}
    return Operation(
        f"Start a run of {name}.",
        answers,
        shape,
        headers=START_HEADERS,
        example=EXAMPLES[name],
        id=name,
    )


OPERATIONS: Final[dict[str, Operation]] = {
    **{f"POST /v1/{name}": _start(name, shape) for name, (shape, _) in RECIPES.items()},
    "GET /v1/runs": Operation(
        "Runs, newest first.",
        as_json(runs=a_list(an_object(**RUN)), total=COUNT),
        query={"limit": LIST_LIMIT, "state": STATE, "recipe": TEXT, "hidden": FLAG},
    ),
    "GET /v1/runs/{run}": Operation(
        "The snapshot of a run.", as_json("items", "usage", text=TEXT, **RUN)
    ),
    "GET /v1/runs/{run}/events": Operation(
        "Follow a run, or page through its events, behind a cursor.",
        {
            200: {JSON_TYPE: EVENTS_PAGE, SSE_TYPE: RUN_EVENTS},
            204: None,
        },
        query={"after": TEXT, "limit": LIST_LIMIT},
        headers={"Last-Event-ID": TEXT},
    ),
    "POST /v1/runs/{run}/cancel": Operation(
        "Want a run no more.", as_json(run=TEXT, state=STATE, shared=FLAG), query={"claim": TEXT}
    ),
    "GET /v1/cache": Operation(
        "What the cache keeps.",
        as_json("statistics", entries=a_list(an_object(*ENTRY)), total=COUNT),
        query={"limit": LIST_LIMIT, "skip": a_number(0, entries.MOST_SKIPPED)}
        | dict.fromkeys(entries.KINDS, TEXT),
    ),
    "GET /v1/cache/{key}": Operation(
        "One entry with its answer.", as_json(*ENTRY, answer={"type": "object"})
    ),
    "DELETE /v1/cache/{key}": Operation("Drop an entry.", as_json(dropped=COUNT)),
    "POST /v1/cache/invalidate": Operation(
        "Drop entries by what they have in common.",
        as_json(dropped=COUNT),
        entries.InvalidateBody,
        example={"tag": "shop"},
    ),
    "POST /v1/cache/{key}/refresh": Operation(
        "Compute an entry anew.", STARTED, headers=START_HEADERS
    ),
    **theirs.OPERATIONS,
    "POST /query": Operation(
        "Answer a Director's prompt.",
        as_json(response=TEXT, model=TEXT),
        director.QueryBody,
        example={"prompt": "What comes after the basket?", "tier": "fast"},
    ),
    "POST /evaluate_sufficiency": Operation(
        "Judge a stage for a Director.",
        as_json(is_sufficient=FLAG, reasoning=TEXT, partial=FLAG),
        director.SufficiencyBody,
        example={
            "stage_name": "design",
            "stage_data": {"tasks": ["list the pages"]},
            "project_state": {"pages": ["start", "basket"]},
        },
    ),
    "POST /v1/tickets": Operation(
        "A ticket in place of a key, for one socket or one stream.",
        {201: {JSON_TYPE: an_object("expires_in_seconds", ticket=TEXT, subprotocol=TEXT)}},
    ),
    "GET /v1/usage": Operation(
        "What was asked, and what it has cost.",
        as_json("group_by", "since", "until", "oldest", "groups", "total", "not_recorded"),
        query={"group_by": TEXT, "since": TEXT},
    ),
    "GET /v1/history": Operation(
        "Runs that have ended, newest first, however long ago.",
        as_json("next", runs=a_list(an_object(**PAST))),
        query={"limit": LIST_LIMIT, "before": TEXT, "state": TEXT, "recipe": TEXT},
    ),
    "GET /v1/history/{run}": Operation(
        "What is recorded of a run.",
        as_json(
            "items",
            "usage",
            "result",
            "runs",
            text=TEXT,
            kept=FLAG,
            messages=a_list(MESSAGE),
            **PAST,
        ),
    ),
    "GET /v1/models": Operation("All models.", as_json("object", "data", "aliases", "faults")),
    "GET /v1/models/{name}": Operation("A model.", as_json("id", "object", "options")),
    "GET /v1/templates": Operation("All templates.", as_json("templates")),
    "GET /v1/templates/{name}": Operation("A template.", as_json("name", "hash", "variables")),
    "POST /v1/templates/{name}/render": Operation(
        "What a model would be asked.",
        as_json("template", "system", "prompt"),
        RenderBody,
        example={"prompt": "A text about a shop."},
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
    "GET /asyncapi.json": Operation(
        "The WebSocket and the event streams, as AsyncAPI 3.", as_json("asyncapi", "channels")
    ),
}
