"""The shapes of requests that OpenAI's SDKs send, as far as they are kept here.

A parameter that is not here is refused by its name. Those that are here and do nothing (`user`,
`metadata`, ...) change no answer; those with one value are taken where it is what happens anyway.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from llm_stream.web.bodies import Body, CacheBody, CallId, Name, TimeoutsBody
from llm_stream.web.openaidoor.toolshapes import ChatCall, ChatChoice, ChatTools, Choice

# An integer stays one: 0 and 0.0 would be two questions to the cache.
Number = int | float
Nothing = Annotated[list[Any], Field(max_length=0)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Level = Literal["low", "medium", "high"]


class TextPart(Body):
    """Text of a message."""

    type: Literal["text"]
    text: str


class ImageUrl(Body):
    """`url` is `data:image/png;base64,...`: nothing is fetched."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Body):
    """An inline image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class Audio(Body):
    """Base64 bytes."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Body):
    """An inline recording."""

    type: Literal["input_audio"]
    input_audio: Audio


class FileData(Body):
    """`file_data` is `data:application/pdf;base64,...`."""

    file_data: str
    filename: str | None = None
    file_id: None = None


class FilePart(Body):
    """An inline file."""

    type: Literal["file"]
    file: FileData


Part = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]


class ChatMessage(Body):
    """One turn; what an SDK's own message has beside it is taken where it is empty.

    `reasoning_content` is what this service has answered, and is not sent back to a model; nor is
    what an SDK has `parsed`. A `name` is taken with the result of a tool, whose call has it.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    parsed: Any = None
    name: str | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: Nothing | None = None
    tool_calls: Annotated[list[ChatCall], Field(max_length=128)] | None = None
    tool_call_id: CallId | None = None


class JsonSchema(Body):
    """`strict` or not, the answer is held against the schema; `name` says nothing here."""

    name: str | None = None
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class TextFormat(Body):
    """Any text."""

    type: Literal["text"]


class ObjectFormat(Body):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(Body):
    """JSON that meets a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


class StreamOptions(Body):
    """`include_usage` adds a last chunk that has the counts."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Common(Body):
    """What both calls take. The last four are this service's own, see `CommonBody`."""

    model: Name | None = None
    stream: bool | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    metadata: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    service_tier: Literal["auto", "default"] | None = None
    top_logprobs: Literal[0] | None = None
    cache: CacheBody | None = None
    timeouts: TimeoutsBody | None = None
    fallback_models: Annotated[list[Name], Field(max_length=10)] | None = None
    tags: Annotated[list[Name], Field(max_length=32)] | None = None


class ChatBody(Common):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1000)]
    tools: ChatTools | None = None
    tool_choice: Choice | ChatChoice | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    logit_bias: dict[str, int] | None = None
    reasoning_effort: Effort | None = None
    verbosity: Level | None = None
    response_format: ResponseFormat | None = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    modalities: list[Literal["text"]] | None = None
    store: Literal[False] | None = None
    functions: Nothing | None = None
    function_call: Literal["none", "auto"] | None = None
