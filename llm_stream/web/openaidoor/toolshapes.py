"""Tools as OpenAI's SDKs declare them, and what has come of their calls. Functions only."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field

from llm_stream.web.bodies import Body, CallId, Name, ToolName


class Function(Body):
    """A tool of the caller's; arguments of a `strict` one are held against `parameters`."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatTool(Body):
    """A tool of a chat completion."""

    type: Literal["function"]
    function: Function


class FunctionTool(Body):
    """A tool of a response."""

    type: Literal["function"]
    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    @property
    def function(self) -> Function:
        """The same as a chat completion has it."""
        return Function(**self.model_dump(exclude={"type"}))


ChatTools = Annotated[list[ChatTool], Field(max_length=128)]
FunctionTools = Annotated[list[FunctionTool], Field(max_length=128)]


class Named(Body):
    """A tool's name."""

    name: ToolName


class ChatChoice(Body):
    """The one tool that a chat completion has to call."""

    type: Literal["function"]
    function: Named


class FunctionChoice(Named):
    """The one tool that a response has to call."""

    type: Literal["function"]


Choice = Literal["none", "auto", "required"]


class Called(Body):
    """What was called; `arguments` is JSON. SDKs add what they have made of it."""

    name: Name
    arguments: str
    parsed_arguments: Any = None


class ChatCall(Body):
    """A call that an answer has made, sent back; `extra_content` is its provider's own."""

    id: CallId
    type: Literal["function"]
    function: Called
    index: int | None = None
    extra_content: dict[str, Any] | None = None


class InputCall(Body):
    """The same as an item of a response; what an SDK's item has beside it is taken if empty."""

    type: Literal["function_call"]
    call_id: CallId
    name: Name
    arguments: str
    parsed_arguments: Any = None
    id: str | None = None
    status: str | None = None
    caller: None = None
    namespace: None = None
    async_: Annotated[
        Literal[False] | None, Field(validation_alias=AliasChoices("async", "async_"))
    ] = None
    extra_content: dict[str, Any] | None = None


class ResultText(Body):
    """Text of a result."""

    type: Literal["input_text"]
    text: str


class InputResult(Body):
    """What came of a call."""

    type: Literal["function_call_output"]
    call_id: CallId
    output: str | list[ResultText]
    id: str | None = None
    status: str | None = None
