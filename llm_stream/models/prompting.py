"""A `ModelCall` in `llm`'s words: what `prompt()` of a model takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import llm
from llm.parts import Part, ReasoningPart, ToolCallPart, ToolResultPart

from llm_stream.models.chunks import Message, ModelCall
from llm_stream.models.pieces import THOUGHTS
from llm_stream.models.toolset import Tool, ToolCall, Toolset


@dataclass
class DeclaredTool(llm.Tool):
    """A caller's tool. It has no implementation, so that `llm` could not run it if it wanted to.

    `use` is the set it belongs to: `llm` has no word for how tools may be called, our wires do.
    """

    strict: bool = False
    use: Toolset | None = None


def declared(tools: Toolset | None) -> list[DeclaredTool]:
    """The declarations as `llm`'s tools."""
    return [] if tools is None else [_declared(tool, tools) for tool in tools.tools]


def _declared(tool: Tool, tools: Toolset) -> DeclaredTool:
    return DeclaredTool(
        name=tool.name,
        description=tool.description or None,
        input_schema=dict(tool.parameters),
        strict=tool.strict,
        use=tools,
    )


def attachments_of(call: ModelCall) -> list[llm.Attachment]:
    """All attachments of a call, in order."""
    return [each for message in call.messages for each in _attachments(message)]


def prompt_of(call: ModelCall, *, stream: bool) -> dict[str, Any]:
    """Keyword arguments of `Model.prompt`."""
    kwargs: dict[str, Any] = {
        "system": call.system,
        "options": call.options,
        "schema": call.schema,
        "stream": stream,
    }
    if call.tools is not None:
        kwargs["tools"] = declared(call.tools)
    turns = [message for message in call.messages if message.role != "system"]
    if len(turns) == 1 and turns[0].role == "user":
        kwargs["prompt"] = turns[0].content
        kwargs["attachments"] = attachments_of(call)
    else:
        # Some providers read the system prompt from messages=, some from system=.
        kwargs["messages"] = list(turns_for_llm(call.messages))
    return kwargs


def turns_for_llm(messages: Sequence[Message]) -> Iterator[llm.parts.Message]:
    """The turns; answers of tools that follow each other are one, as providers want them."""
    results: list[Part] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role == "tool":
            called = message.tool_call_id
            results.append(
                ToolResultPart(
                    name=names.get(called, ""), output=message.content, tool_call_id=called
                )
            )
            continue
        if results:
            yield llm.parts.Message("tool", results)
            results = []
        # Ids are an answer's own: the next one's may be the same.
        names = {call.tool_call_id: call.name for call in message.tool_calls} or names
        yield _message(message)
    if results:
        yield llm.parts.Message("tool", results)


def _message(message: Message) -> llm.parts.Message:
    make = {"system": llm.system, "user": llm.user, "assistant": llm.assistant}[message.role]
    calls = message.tool_calls
    # A text that says nothing is none for providers, but an answer without any part is.
    said = [message.content] if message.content or not calls else []
    return make(*_thoughts(calls), *said, *_attachments(message), *map(_call, calls))


def _attachments(message: Message) -> list[llm.Attachment]:
    return [llm.Attachment(type=each.type, content=each.content) for each in message.attachments]


def _thoughts(calls: Sequence[ToolCall]) -> Iterator[ReasoningPart]:
    for call in calls:
        for thought in (call.provider_metadata or {}).get(THOUGHTS, ()):
            yield ReasoningPart(
                text=thought["text"], provider_metadata=thought["provider_metadata"]
            )


def _call(call: ToolCall) -> ToolCallPart:
    kept = {name: of for name, of in (call.provider_metadata or {}).items() if name != THOUGHTS}
    return ToolCallPart(
        name=call.name,
        arguments=call.arguments,
        tool_call_id=call.tool_call_id,
        provider_metadata=kept or None,
    )
