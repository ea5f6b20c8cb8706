"""Events of `llm` as chunks: text and thoughts at once, calls of tools when they are whole."""

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any, Final

import llm
import orjson

from llm_stream.errors import InvalidOutput
from llm_stream.models.chunks import CUT_OFF, Calling, Chunk, Reasoning
from llm_stream.models.joining import Bundle
from llm_stream.models.toolset import ToolCall

THOUGHTS: Final = "thoughts"
"""Where a call keeps the signed thoughts that led to it, beside what each provider keeps there."""


def arguments_of(name: str, text: str, finish_reason: str = "") -> dict[str, Any]:
    """The arguments of a call; none at all mean an empty object.

    Args:
        name: the tool's.
        text: what the model has written.
        finish_reason: its provider's word for how the answer ended.

    Raises:
        InvalidOutput: they are no JSON object (the model's doing).
    """
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError as error:
        why = " It was cut off; raise max_tokens." if finish_reason in CUT_OFF else ""
        raise InvalidOutput(
            f"The model called {name[:100]!r} with arguments that are not JSON.{why}"
        ) from error
    if not isinstance(value, dict):
        raise InvalidOutput(f"The model called {name[:100]!r} with arguments that are no object.")
    return value


class Pieces:
    """What one answer's events say.

    Args:
        calls_are_text: whether the model answers a schema by a forced tool: its arguments are the
            text then.
    """

    def __init__(self, *, calls_are_text: bool) -> None:
        self._calls_are_text = calls_are_text
        self._calls: dict[int | str | None, _Call] = {}
        self._thoughts: dict[int | None, _Thought] = {}

    def take(self, event: llm.parts.StreamEvent) -> Sequence[Chunk]:
        """What an event says at once; pieces of calls are collected, and only said to come."""
        if event.type == "text":  # as `_words`, without a call for each token
            if isinstance(event, Bundle):
                return event.take()
            return (event.chunk,) if event.chunk else ()
        if event.type == "reasoning":
            self._keep(event)
            return [Reasoning(words) for words in _words(event)]
        # What the provider runs itself, nobody else is to run.
        if event.type in {"tool_call_name", "tool_call_args"} and not event.server_executed:
            if self._calls_are_text:
                return _words(event) if event.type == "tool_call_args" else ()
            self._collect(event)
            return [Calling(words) for words in _words(event)]
        return ()

    def calls(self, finish_reason: str = "") -> Iterator[ToolCall]:
        """The calls of tools, once all events were taken; the first has the signed thoughts.

        Args:
            finish_reason: its provider's word for how the answer ended.

        Raises:
            InvalidOutput: a call has no name, or arguments that are no JSON object (the model's
                doing).
        """
        thoughts = [each.told() for each in self._thoughts.values() if each.kept]
        for place, call in enumerate(self._calls.values()):
            if not call.name:
                raise InvalidOutput("The model called a tool, and did not say which.")
            arguments = arguments_of(call.name, "".join(call.arguments), finish_reason)
            kept = call.kept | ({THOUGHTS: thoughts} if thoughts else {})
            thoughts = []
            yield ToolCall(call.id or f"call_{place}", call.name, arguments, kept or None)

    def _keep(self, event: llm.parts.StreamEvent) -> None:
        # A signature comes behind its thought, so words are kept before it is known to have one.
        if event.part_index is not None:
            thought = self._thoughts.setdefault(event.part_index, _Thought())
            if isinstance(event.chunk, str):  # a plugin's model may say anything
                thought.words.write(event.chunk)
            thought.kept |= event.provider_metadata or {}

    def _collect(self, event: llm.parts.StreamEvent) -> None:
        # llm numbers the parts, also where a plugin gives calls no id, or only once.
        key = event.tool_call_id if event.part_index is None else event.part_index
        call = self._calls.setdefault(key, _Call(event.tool_name or ""))
        call.id = call.id or event.tool_call_id or ""
        if event.type == "tool_call_name":
            call.name = call.name or event.chunk
        else:
            call.arguments.append(event.chunk)
        call.kept |= event.provider_metadata or {}


def _words(event: llm.parts.StreamEvent) -> Sequence[str]:
    if isinstance(event, Bundle):
        return event.take()
    return (event.chunk,) if event.chunk else ()


class _Call:
    """A call while it comes."""

    __slots__ = ("arguments", "id", "kept", "name")

    def __init__(self, name: str) -> None:
        self.id = ""
        self.name = name
        self.arguments: list[str] = []
        self.kept: dict[str, Any] = {}


class _Thought:
    """A block of thoughts while it comes."""

    __slots__ = ("kept", "words")

    def __init__(self) -> None:
        self.words = StringIO()  # not an object for each of many
        self.kept: dict[str, Any] = {}

    def told(self) -> dict[str, Any]:
        """Its text, and what its provider wants back with it."""
        return {"text": self.words.getvalue(), "provider_metadata": self.kept}
