"""What comes out of a model, and what goes in: the contract of `ModelAdapter`."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A whole request for a tool; `arguments` is the decoded JSON value."""

    tool_call_id: str
    name: str
    arguments: Any


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


Chunk = str | Reasoning | ToolCall | Finish
"""A piece of an answer; a plain `str` is answer text. A chunk is not a token."""


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
    """One turn: who speaks, the text, and attachments (user turns only)."""

    role: Literal["system", "user", "assistant"]
    content: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One question to one model. `schema` is a JSON Schema the answer has to meet."""

    messages: tuple[Message, ...]
    options: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None

    @property
    def system(self) -> str | None:
        """All system turns joined by blank lines, None without any."""
        parts = [message.content for message in self.messages if message.role == "system"]
        return "\n\n".join(parts) if parts else None
