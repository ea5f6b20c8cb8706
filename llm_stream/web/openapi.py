"""GET /openapi.json: the HTTP surface, out of the models that validate it.

Shapes of requests, events and problems are pydantic's own schemas of them (`web/shapes`), so they
cannot differ from what is checked. Answers are told by the fields they always have;
docs/api.md says what those mean.
"""

import re
from functools import cache
from typing import Any, Final

import orjson

from llm_stream import __version__
from llm_stream.errors import Problem
from llm_stream.web.auth import ANY, NEEDS, PUBLIC
from llm_stream.web.negotiation import JSON_TYPE
from llm_stream.web.operation import TEXT, Operation, Schema
from llm_stream.web.operations import OPERATIONS, TAGS
from llm_stream.web.shapes import reached, ref

PROBLEM_TYPE: Final = "application/problem+json"

KEY: Final = "clientKey"
"""A client key; where the operator has made none, nobody needs one."""

ABOUT: Final = """\
Answers of language models as runs that stream, resume and replay. `/docs` has the documents, \
`/asyncapi.json` the WebSocket and the event streams. Every failure is a problem object \
(RFC 9457); `/docs/errors` explains each code."""

INFO: Final[dict[str, Any]] = {
    "title": "llm-stream",
    "version": __version__,
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}


@cache
def document() -> bytes:
    """The document, as JSON of OpenAPI 3.1."""
    paths: dict[str, dict[str, Schema]] = {}
    for name, operation in OPERATIONS.items():
        method, _, path = name.partition(" ")
        paths.setdefault(path, {})[method.lower()] = _described(method, path, operation)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": INFO | {"description": ABOUT},
            "tags": [{"name": name, "description": about} for name, (about, _) in TAGS.items()],
            "paths": paths,
            "components": {
                "schemas": reached(paths),
                "securitySchemes": {
                    KEY: {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A client key. Where the operator has made none, "
                        "nobody needs one.",
                    }
                },
            },
        }
    )


def _described(method: str, path: str, operation: Operation) -> Schema:
    need = NEEDS[f"{method} {path}"]
    places = [("path", name, TEXT) for name in ("run", "key", "name") if f"{{{name}}}" in path]
    places += [("query", name, schema) for name, schema in operation.query.items()]
    places += [("header", name, schema) for name, schema in operation.headers.items()]
    failures = _content(operation.failures or {PROBLEM_TYPE: ref(Problem)})
    told: Schema = {
        "operationId": operation.id or _name(method, path),
        "tags": [tag for tag, (_, places) in TAGS.items() if path.startswith(places)][:1],
        "summary": operation.summary,
        "security": [] if need == PUBLIC else [{KEY: [] if need == ANY else [need]}, {}],
        "responses": {
            str(status): {"description": operation.summary}
            | ({} if media is None else {"content": _content(media)})
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
    if operation.body is not None:
        content: Schema = {"schema": ref(operation.body), "example": operation.example}
        told["requestBody"] = {"required": True, "content": {JSON_TYPE: content}}
    return told


def _content(media: dict[str, Schema]) -> dict[str, Schema]:
    return {kind: {"schema": schema} for kind, schema in media.items()}


def _name(method: str, path: str) -> str:
    """What generated clients call the operation: `get_runs_run_events`."""
    words = re.findall(r"\w+", path.removeprefix("/v1"))
    return "_".join([method.lower(), *words])
