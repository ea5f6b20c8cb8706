"""JSON Schemas of all that is taken and sent, out of the types that check and make it.

Shared by GET /openapi.json and GET /asyncapi.json, so that both say the same. Pydantic makes them:
of the models that validate requests, and of the typed dictionaries that events, problems and
frames are written as.
"""

from functools import cache
from typing import Any, Final, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from llm_stream.errors import Problem
from llm_stream.payloads import Payload
from llm_stream.web import frames
from llm_stream.web.bodies import FRAMES, RenderBody, StartFrame
from llm_stream.web.director import QueryBody, SufficiencyBody
from llm_stream.web.entries import InvalidateBody
from llm_stream.web.openaidoor.responsesshapes import ResponsesBody
from llm_stream.web.openaidoor.shapes import ChatBody
from llm_stream.web.operation import Schema
from llm_stream.web.problems import TABLE
from llm_stream.web.recipes import RECIPES

PREFIX: Final = "#/components/schemas/"

BODIES: Final[tuple[type[BaseModel], ...]] = (
    *(shape for shape, _ in RECIPES.values()),
    RenderBody,
    InvalidateBody,
    QueryBody,
    SufficiencyBody,
    ChatBody,
    ResponsesBody,
)
"""What validates the bodies of requests."""

PAYLOADS: Final[dict[str, type]] = {
    get_args(payload.__annotations__["type"])[0]: payload for payload in get_args(Payload)
}
"""Type of an event -> what its payload is."""

SAID: Final[tuple[type, ...]] = (
    frames.Welcome,
    frames.StartReply,
    frames.SubscribeReply,
    frames.UnsubscribeReply,
    frames.CancelReply,
    frames.Refusal,
    frames.Pong,
    frames.End,
    frames.StreamGap,
    frames.Heartbeat,
    frames.GoAway,
)
"""What the service says on a socket, beside events."""

NOTICES: Final[dict[str, type]] = {
    "heartbeat": frames.Silence,
    "gap": frames.Lost,
    "goaway": frames.Drain,
}
"""What the service says in a stream, beside events: name -> its data."""


def ref(shape: type) -> Schema:
    """Where the schema of a type stands."""
    return {"$ref": f"{PREFIX}{shape.__name__}"}


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes of the names of fields: `T Ms`."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Of no field."""
        return False


@cache
def schemas() -> dict[str, Schema]:
    """Name of a type -> its schema; `Event` is that of all events."""
    taken = [*BODIES, *FRAMES.values()]
    said = [*PAYLOADS.values(), *SAID, *NOTICES.values(), Problem, frames.Stamp]
    _, made = TypeAdapter.json_schemas(
        [(shape, "validation", TypeAdapter(shape)) for shape in taken]
        + [(shape, "serialization", TypeAdapter(shape)) for shape in said],
        ref_template=f"{PREFIX}{{model}}",
        schema_generator=_Untitled,
    )
    found: dict[str, Schema] = made["$defs"]
    found["Problem"]["properties"] |= {
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"enum": sorted(error.code for error in TABLE)},
    }
    found[StartFrame.__name__]["properties"]["input"] = {
        "description": "The body of the recipe's own call.",
        "anyOf": [ref(shape) for shape, _ in RECIPES.values()],
    }
    stamp = found.pop(frames.Stamp.__name__)
    for shape in PAYLOADS.values():
        _stamp(found[shape.__name__], stamp)
    found["Event"] = {
        "description": "One event of a run. A reader ignores types that it does not know.",
        "oneOf": [ref(shape) for shape in PAYLOADS.values()],
    }
    return found


def _stamp(payload: dict[str, Any], stamp: Schema) -> None:
    """What stands before a payload in a log is a part of the event."""
    for field in ("properties", "required"):
        first = stamp[field]
        payload[field] = (
            first | payload[field] if isinstance(first, dict) else first + payload[field]
        )


def reached(part: object) -> dict[str, Schema]:
    """The schemas that a part of a document refers to, and those that they refer to, by name."""
    found: dict[str, Schema] = {}
    left = [part]
    while left:
        match left.pop():
            case {"$ref": str(address)} if address.startswith(PREFIX):
                name = address.removeprefix(PREFIX)
                if name not in found:
                    found[name] = schemas()[name]
                    left.append(found[name])
            case dict() as fields:
                left += fields.values()
            case list() as items:
                left += items
    return dict(sorted(found.items()))
