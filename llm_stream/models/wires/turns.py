"""An `llm` prompt as plain turns: what every provider's request is made of.

llm's own plugins read the system prompt either from `system=` or from `messages=` and drop the
other. Here both count, and what stands in both counts once.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import llm
from llm.parts import (
    AttachmentPart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

from llm_stream.errors import UnsupportedByModel
from llm_stream.models.prompting import DeclaredTool
from llm_stream.models.toolset import Toolset

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(slots=True)
class Turn:
    """What one side says at once; `texts` are not empty, `thoughts` are those a provider signed."""

    role: Role
    texts: list[str] = field(default_factory=list)
    attachments: list[llm.Attachment] = field(default_factory=list)
    thoughts: list[ReasoningPart] = field(default_factory=list)
    calls: list[ToolCallPart] = field(default_factory=list)
    results: list[ToolResultPart] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All its text."""
        return "".join(self.texts)


def turns_of(prompt: llm.Prompt) -> list[Turn]:
    """All turns in order; a system prompt given only by `system=` is the first."""
    turns = [_turn(message) for message in prompt.messages]
    if prompt.system and not any(turn.role == "system" for turn in turns):
        turns.insert(0, Turn("system", [prompt.system]))
    return turns


def split(turns: list[Turn]) -> tuple[str, list[Turn]]:
    """The system prompt, all its turns joined by blank lines, and the other turns."""
    system = "\n\n".join(turn.text for turn in turns if turn.role == "system" and turn.texts)
    return system, [turn for turn in turns if turn.role != "system"]


def _turn(message: Message) -> Turn:
    turn = Turn(cast("Role", message.role))
    for part in message.parts:
        if isinstance(part, TextPart):
            if part.text:
                turn.texts.append(part.text)
        elif isinstance(part, AttachmentPart):
            if part.attachment is not None:
                turn.attachments.append(part.attachment)
        elif isinstance(part, ReasoningPart):
            if part.provider_metadata:
                turn.thoughts.append(part)
        elif isinstance(part, ToolCallPart):
            if not part.server_executed:
                turn.calls.append(part)
        elif isinstance(part, ToolResultPart) and not part.server_executed:
            turn.results.append(part)
    return turn


def kept_for(part: Part, provider: str) -> dict[str, Any]:
    """What a wire left on a part of an answer (`provider_metadata`) to be sent back with it."""
    kept = (getattr(part, "provider_metadata", None) or {}).get(provider)
    return kept if isinstance(kept, dict) else {}


def function_tools(prompt: llm.Prompt, model_id: str) -> Iterator[llm.Tool]:
    """The tools of a prompt.

    Raises:
        UnsupportedByModel: one of them would run at the provider (caller's doing).
    """
    for tool in prompt.tools:
        if not isinstance(tool, llm.Tool):
            raise UnsupportedByModel(
                f'{model_id}: tools that run at the provider need transport = "plugin".',
                field="model",
            )
        yield tool


def is_strict(tool: llm.Tool) -> bool:
    """Whether the provider is to keep to the schema of the arguments."""
    return isinstance(tool, DeclaredTool) and tool.strict


def use_of(prompt: llm.Prompt) -> Toolset:
    """How the tools of a prompt may be called; as the model likes, unless a caller of ours says."""
    for tool in prompt.tools:
        if isinstance(tool, DeclaredTool) and tool.use is not None:
            return tool.use
    return Toolset(())


def base64_of(attachment: llm.Attachment, model_id: str) -> str:
    """The bytes of an inline attachment in base64.

    Raises:
        UnsupportedByModel: it is a path or a URL: files are not read here and nothing is
            fetched (caller's doing).
    """
    if attachment.content is None:
        raise UnsupportedByModel(
            f"{model_id}: attachments have to be inline, with their bytes and type.",
            field="attachments",
        )
    return b64encode(attachment.content).decode("ascii")


def type_of(attachment: llm.Attachment) -> str:
    """The declared media type; it is never guessed."""
    return attachment.type or "application/octet-stream"
