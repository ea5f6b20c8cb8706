"""Tools that a model may ask its caller to use. Nobody here ever runs one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Choice = Literal["auto", "none", "required"]
"""Whether the model calls: as it likes, not at all, at least one."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One declaration.

    `parameters` is the JSON Schema of the arguments. Those of a `strict` tool are held against it.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Toolset:
    """The tools of one call, and how they may be called.

    `named` is the one that has to be called, "" where `choice` says it all. Without `parallel` an
    answer calls one tool at most.
    """

    tools: tuple[Tool, ...]
    choice: Choice = "auto"
    named: str = ""
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A whole request for a tool; `arguments` is the decoded JSON object.

    `provider_metadata` is what the provider wants to have back with the call, by its name (a
    signature of the thoughts that led to it); None as a rule.
    """

    tool_call_id: str
    name: str
    arguments: Any
    provider_metadata: Mapping[str, Any] | None = None
