"""The shapes of requests, as pydantic models, and strict reading of JSON into them.

Validation only: what names mean (models, templates, runs) is `web/intake`'s business.
"""

from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_stream.errors import (
    InvalidField,
    MalformedRequest,
    MissingField,
    StreamError,
    UnknownField,
)
from llm_stream.models.chunks import Role
from llm_stream.models.toolset import Choice
from llm_stream.web.strictjson import check_strictly

Name = Annotated[str, Field(min_length=1, max_length=200)]
# Some servers keep signatures of thoughts in it (LiteLLM).
CallId = Annotated[str, Field(min_length=1, max_length=20_000)]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Scalar = str | int | float | bool


# Pydantic copies a default that can be changed, deeply and each time; these are made anew.
EMPTY_OBJECT: Any = Field(default_factory=dict, json_schema_extra={"default": {}})
EMPTY_LIST: Any = Field(default_factory=list, json_schema_extra={"default": []})


class Body(BaseModel):
    """Base of all bodies: unknown fields and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AttachmentBody(Body):
    """An inline file: base64 bytes with an explicit media type."""

    type: Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9.+-]+$", max_length=100)]
    data: Annotated[str, Field(min_length=1, description="base64")]


class ToolCallBody(Body):
    """A call that a model has made, as it was told; `provider_metadata` is its provider's own."""

    tool_call_id: CallId
    name: Name
    arguments: dict[str, Any]
    provider_metadata: dict[str, Any] | None = None


class MessageBody(Body):
    """One turn of a conversation; a tool's is the result of the call `tool_call_id`."""

    role: Role
    content: str
    attachments: list[AttachmentBody] = EMPTY_LIST
    tool_calls: Annotated[list[ToolCallBody], Field(max_length=128)] = EMPTY_LIST
    tool_call_id: CallId | None = None


class ToolBody(Body):
    """A tool that the caller can run; `parameters` is the JSON Schema of its arguments."""

    type: Literal["function"] = "function"
    name: ToolName
    description: Annotated[str, Field(max_length=100_000)] = ""
    parameters: dict[str, Any] = EMPTY_OBJECT
    strict: bool = False


class NamedToolBody(Body):
    """The one tool that has to be called."""

    name: Name


class CacheBody(Body):
    """How the cache may be used; see `CacheControl`. A number as `pace` is pieces a second."""

    mode: Literal["use", "refresh", "bypass", "only"] = "use"
    ttl_seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = None
    tags: Annotated[list[Name], Field(max_length=16)] = EMPTY_LIST
    pace: Literal["instant", "recorded"] | Annotated[float, Field(ge=1, le=100_000)] = "instant"


_AS_CONFIGURED = CacheBody()


class TimeoutsBody(Body):
    """Limits of the model call; absent ones come from the configuration."""

    connect_seconds: Seconds | None = None
    first_token_seconds: Seconds | None = None
    idle_seconds: Seconds | None = None
    total_seconds: Seconds | None = None
    min_tokens_per_second: Annotated[float, Field(ge=0, le=10_000)] | None = None
    slow_window_seconds: Seconds | None = None


class CommonBody(Body):
    """What every call that starts a run understands."""

    model: Name | None = None
    template: Name | None = None
    options: dict[str, Any] = EMPTY_OBJECT
    cache: CacheBody = Field(
        default_factory=lambda: _AS_CONFIGURED,
        json_schema_extra={"default": _AS_CONFIGURED.model_dump()},
    )
    timeouts: TimeoutsBody = TimeoutsBody()
    fallback_models: Annotated[list[Name], Field(max_length=10)] = EMPTY_LIST
    on_midstream_failure: Literal["error", "splice", "restart"] | None = None
    on_disconnect: Literal["continue", "cancel"] | None = None
    tags: Annotated[list[Name], Field(max_length=32)] = EMPTY_LIST


class GenerateBody(CommonBody):
    """POST /v1/generate: `prompt`, or `messages`, or `template` with `params`."""

    prompt: str | None = None
    messages: Annotated[list[MessageBody], Field(min_length=1, max_length=1000)] | None = None
    params: dict[str, Scalar] = EMPTY_OBJECT
    attachments: list[AttachmentBody] = EMPTY_LIST
    system: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    tools: Annotated[list[ToolBody], Field(max_length=128)] = EMPTY_LIST
    tool_choice: Choice | NamedToolBody = "auto"
    parallel_tool_calls: bool = True


class RenderBody(Body):
    """POST /v1/templates/{name}/render: values, and the input for `$input`."""

    params: dict[str, Scalar] = EMPTY_OBJECT
    prompt: str | None = None


class StartFrame(Body):
    """WebSocket: start a run and subscribe to it as `stream` (default: the id)."""

    type: Literal["start"]
    id: Name
    stream: Name | None = None
    recipe: Name = "generate"
    input: dict[str, Any]


class StreamRequest(Body):
    """Which run to follow, as which stream, from behind which cursor."""

    stream: Name
    run: Name
    after: Annotated[str, Field(max_length=40)] = "0"


class SubscribeFrame(Body):
    """WebSocket: follow runs; one frame resumes all streams of a lost socket."""

    type: Literal["subscribe"]
    id: Name
    streams: Annotated[list[StreamRequest], Field(min_length=1, max_length=1000)]


class UnsubscribeFrame(Body):
    """WebSocket: leave a stream; the run goes on by its own policy."""

    type: Literal["unsubscribe"]
    id: Name
    stream: Name


class CancelFrame(Body):
    """WebSocket: end a run early."""

    type: Literal["cancel"]
    id: Name
    run: Name


class PingFrame(Body):
    """WebSocket: answered by a pong with the same id."""

    type: Literal["ping"]
    id: Name | None = None


FRAMES: dict[str, type[Body]] = {
    "start": StartFrame,
    "subscribe": SubscribeFrame,
    "unsubscribe": UnsubscribeFrame,
    "cancel": CancelFrame,
    "ping": PingFrame,
}

B = TypeVar("B", bound=Body)


def read_object(data: bytes | str) -> dict[str, Any]:
    """One JSON object out of untrusted bytes, of bounded shape (`web/strictjson`).

    Raises:
        MalformedRequest: it is anything else (the caller's doing).
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"The body is not JSON: {error}. Send one JSON object.") from error
    if not isinstance(value, dict):
        raise MalformedRequest("The body is JSON, but not an object. Send {...}.")
    check_strictly(data, value)
    return value


def validate(model: type[B], value: dict[str, Any], prefix: str = "") -> B:
    """The body as `model`.

    Raises:
        MissingField, UnknownField, InvalidField: naming the first field at fault, behind
            `prefix` (the caller's doing).
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _field_error(error, prefix) from error


def _field_error(error: ValidationError, prefix: str) -> StreamError:
    first = error.errors(include_url=False, include_input=False)[0]
    path = prefix + ".".join(str(part)[:100] for part in first["loc"])
    if first["type"] == "missing":
        return MissingField(f"Field {path!r} is required.", field=path)
    if first["type"] == "extra_forbidden":
        return UnknownField(
            f"Field {path!r} is not known here. Remove it or correct its name.", field=path
        )
    if not path:  # a combination of fields
        return InvalidField(f"{first['msg'][:1].upper()}{first['msg'][1:]}.")
    return InvalidField(f"Field {path!r}: {first['msg']}.", field=path)
