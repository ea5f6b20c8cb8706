"""The words in which operations of the HTTP surface are described."""

from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from llm_stream.web.negotiation import JSON_TYPE

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}

EVENTS: Final[Schema] = {
    "type": "object",
    "properties": {"id": TEXT, "event": TEXT, "data": TEXT},
    "required": ["data"],
}
"""Each event of a stream, by its fields."""

RUN_EVENTS: Final[Schema] = {
    **EVENTS,
    "properties": {
        "id": TEXT,
        "event": {"enum": ["heartbeat", "gap", "goaway"], "description": "None for a run's own."},
        "data": {
            "type": "string",
            "contentMediaType": JSON_TYPE,
            "contentSchema": {"$ref": "#/components/schemas/Event"},
        },
    },
}
"""Each event of a run; docs/protocol.md and /asyncapi.json tell of its types."""


def an_object(*names: str, may: dict[str, Schema] | None = None, **fields: Schema) -> Schema:
    """An object that always has these fields, some of this shape; others it may have."""
    return {
        "type": "object",
        "required": [*names, *fields],
        "properties": {**{name: {} for name in names}, **fields, **(may or {})},
    }


def a_list(of: Schema) -> Schema:
    """A list of such values."""
    return {"type": "array", "items": of}


def a_number(least: int, most: int) -> Schema:
    """A whole number of this range."""
    return {"type": "integer", "minimum": least, "maximum": most}


class Operation(NamedTuple):
    """One method of one path.

    Attributes:
        summary: a sentence.
        answers: status -> media type -> schema; None has no content.
        body: what validates the request's JSON.
        query, headers: parameters that may be left out.
        failures: media type -> schema of its errors, if they are no problem objects.
        example: a body that does something on every service.
        id: what a generated client calls it; made of method and path where there is none.
    """

    summary: str
    answers: dict[int, dict[str, Schema] | None]
    body: type[BaseModel] | None = None
    query: dict[str, Schema] = {}  # noqa: RUF012 - nobody changes it
    headers: dict[str, Schema] = {}  # noqa: RUF012 - as above
    failures: dict[str, Schema] | None = None
    example: dict[str, Any] | None = None
    id: str = ""


def as_json(
    *names: str, may: dict[str, Schema] | None = None, **fields: Schema
) -> dict[int, dict[str, Schema] | None]:
    """Status 200, with such an object as JSON."""
    return {200: {JSON_TYPE: an_object(*names, may=may, **fields)}}
