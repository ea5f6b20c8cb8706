"""What comes out of a model, and what goes in: the contract of `ModelAdapter`."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import orjson
from pydantic import ConfigDict

from llm_stream.models.toolset import ToolCall, Toolset


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class Calling:
    """A piece of a call of a tool: a sign of life; the call itself is told when it is whole."""

    text: str


CUT_OFF: Final = frozenset({"length", "max_tokens", "MAX_TOKENS"})
"""Providers' words for an answer that ran out of tokens."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The last chunk of an answer that is complete.

    `finish_reason` is the provider's word ("stop", "length", "tool_use"). `model` is the
    version that answered, where the provider says. Tokens are None where it does not count.
    """

    finish_reason: str
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    details: dict[str, Any] = field(default_factory=dict)


Role = Literal["system", "user", "assistant", "tool"]

Chunk = str | Reasoning | Calling | ToolCall | Finish
"""A piece of an answer; a plain `str` is answer text. A chunk is not a token. Calls of tools come
last, right before the `Finish`."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """Inline bytes with the media type the caller declared; never a path or URL."""

    type: str
    content: bytes

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        ser_json_bytes="base64", val_json_bytes="base64"
    )


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks and the text.

    Users attach files, assistants call tools, and a tool's turn is its answer to the call
    `tool_call_id`.
    """

    role: Role
    content: str
    attachments: tuple[Attachment, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    @property
    def chars(self) -> int:
        """Length of what is said, calls as JSON; of attachments nothing is known."""
        return len(self.content) + (len(orjson.dumps(self.tool_calls)) if self.tool_calls else 0)


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One question to one model. `schema` is a JSON Schema the answer has to meet."""

    messages: tuple[Message, ...]
    options: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    tools: Toolset | None = None

    @property
    def system(self) -> str | None:
        """All system turns joined by blank lines, None without any."""
        parts = [message.content for message in self.messages if message.role == "system"]
        return "\n\n".join(parts) if parts else None
