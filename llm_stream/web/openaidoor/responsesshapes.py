"""The shape of POST /v1/responses, as far as it is kept here."""

from typing import Annotated, Any, Literal

from pydantic import Field

from llm_stream.web.bodies import Body, Name
from llm_stream.web.openaidoor.shapes import (
    Common,
    Effort,
    JsonSchema,
    Level,
    Nothing,
    ObjectFormat,
    TextFormat,
)
from llm_stream.web.openaidoor.toolshapes import (
    Choice,
    FunctionChoice,
    FunctionTools,
    InputCall,
    InputResult,
)


class InputText(Body):
    """Text of a message; `output_text` is that of an answer which is sent back."""

    type: Literal["input_text", "output_text"]
    text: str
    annotations: Nothing | None = None
    logprobs: Nothing | None = None
    parsed: Any = None


class InputImage(Body):
    """An inline image: `data:image/png;base64,...`."""

    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high", "original"] | None = None
    file_id: None = None


class InputFile(Body):
    """An inline file: `data:application/pdf;base64,...`."""

    type: Literal["input_file"]
    file_data: str
    filename: str | None = None
    file_id: None = None
    file_url: None = None


InputPart = Annotated[InputText | InputImage | InputFile, Field(discriminator="type")]


class InputMessage(Body):
    """One turn, or an item of an answer that is sent back."""

    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[InputPart]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class InputReasoning(Body):
    """Reasoning of an answer that is sent back; no model gets it."""

    type: Literal["reasoning"]
    id: str | None = None
    summary: list[Any] | None = None
    content: list[Any] | None = None
    status: str | None = None
    encrypted_content: None = None


class FormatSchema(JsonSchema):
    """JSON that meets a schema."""

    type: Literal["json_schema"]


class TextSettings(Body):
    """How the text has to be."""

    format: (
        Annotated[TextFormat | ObjectFormat | FormatSchema, Field(discriminator="type")] | None
    ) = None
    verbosity: Level | None = None


class ReasoningSettings(Body):
    """How much the model thinks, and how its thoughts are told."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class ResponsesStreamOptions(Body):
    """Nothing that is done here."""

    include_obfuscation: bool | None = None


class ResponsesBody(Common):
    """POST /v1/responses."""

    input: (
        str
        | Annotated[
            list[InputMessage | InputReasoning | InputCall | InputResult], Field(min_length=1)
        ]
    )
    tools: FunctionTools | None = None
    tool_choice: Choice | FunctionChoice | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    text: TextSettings | None = None
    reasoning: ReasoningSettings | None = None
    background: bool | None = None
    stream_options: ResponsesStreamOptions | None = None
    store: bool | None = None
    truncation: Literal["disabled"] | None = None
    include: Nothing | None = None
    max_tool_calls: int | None = None
    previous_response_id: Name | None = None
    conversation: None = None
    prompt: None = None
