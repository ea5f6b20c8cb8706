"""Anthropic's messages.

Source: Anthropic's API reference, "Messages", "Extended thinking", "Structured outputs".
"""

from dataclasses import dataclass
from typing import Any, Final

import llm

from llm_stream.errors import InvalidOption, UnsupportedByModel
from llm_stream.models.toolset import Toolset
from llm_stream.models.wires.answer import Answer
from llm_stream.models.wires.claudeanswer import ClaudeAnswer
from llm_stream.models.wires.credentials import anthropic
from llm_stream.models.wires.model import WireModel
from llm_stream.models.wires.options import given
from llm_stream.models.wires.schemas import for_anthropic
from llm_stream.models.wires.turns import (
    Turn,
    base64_of,
    function_tools,
    kept_for,
    split,
    turns_of,
    type_of,
    use_of,
)

SCHEMA_TOOL: Final = "output_structured_data"
"""What models without structured outputs are made to call: its arguments are the answer."""

MORE_TOKENS: Final = 64_000
"""Longer answers are a beta of older models."""

THINKING_TOKENS: Final = 1024
"""What models get for thinking that do not decide it themselves."""


@dataclass(frozen=True, slots=True)
class ClaudeTraits:
    """In what models differ.

    `thinks`: thinking can be asked for. `adaptive`: the model decides how much. `by_default`: it
    thinks unasked. `always`: it cannot be told not to. `structured`: it keeps to a JSON Schema
    by itself. `max_tokens`: what is sent when nobody says.
    """

    thinks: bool = True
    adaptive: bool = False
    by_default: bool = False
    always: bool = False
    structured: bool = True
    max_tokens: int = 64_000


class ClaudeModel(WireModel):
    """A model behind `/v1/messages`.

    Args:
        *args: see `WireModel`.
        traits: in what it differs from others.
        **more: see `WireModel`.
    """

    def __init__(self, *args: Any, traits: ClaudeTraits, **more: Any) -> None:
        super().__init__(*args, **more)
        self.traits = traits

    def path(self, *, stream: bool) -> str:
        """The same for all models."""
        return "/v1/messages"

    def headers(self, key: str | None, body: dict[str, Any]) -> dict[str, str]:
        """The version, the key in Anthropic's own header, and what is not in the API proper."""
        found = anthropic(key)
        if betas := self._betas(body):
            found["anthropic-beta"] = ",".join(betas)
        return found

    def answer(self, prompt: llm.Prompt) -> Answer:
        """See `WireModel`."""
        options = given(prompt.options)
        hidden = options.get("hide_prefill")
        return ClaudeAnswer(self.model_id, "" if hidden else options.get("prefill", ""))

    def request(self, prompt: llm.Prompt, *, stream: bool) -> dict[str, Any]:
        """See `WireModel`."""
        options = given(prompt.options)
        if options.get("count_tokens"):
            raise InvalidOption(f"{self.model_id} only answers.", field="options.count_tokens")
        if prompt.schema and prompt.tools and not self.traits.structured:
            raise UnsupportedByModel(f"{self.model_id}: schema or tools, not both.", field="schema")
        system, turns = split(turns_of(prompt))
        body: dict[str, Any] = {
            "model": self.upstream_name,
            "max_tokens": options.get("max_tokens", self.traits.max_tokens),
            "messages": self._messages(turns, options),
            "stream": stream,
        }
        if system:
            body["system"] = system
        for name in ("temperature", "top_p", "top_k", "stop_sequences"):
            if name in options:
                body[name] = options[name]
        if "user_id" in options:
            body["metadata"] = {"user_id": options["user_id"]}
        if options.get("fast"):
            body["speed"] = "fast"
        if thinking := self._thinking(options):
            body["thinking"] = thinking
        if "thinking_effort" in options:
            body["output_config"] = {"effort": options["thinking_effort"]}
        if prompt.schema:
            self._shape(body, prompt.schema)
        if prompt.tools:
            body |= self._tools(prompt)
        return body

    def _tools(self, prompt: llm.Prompt) -> dict[str, Any]:
        tools = [
            {
                "name": tool.name,
                "description": tool.description or "",
                "input_schema": tool.input_schema,
            }
            for tool in function_tools(prompt, self.model_id)
        ]
        choice = _choice(use_of(prompt))
        return {"tools": tools, **({"tool_choice": choice} if choice else {})}

    def _betas(self, body: dict[str, Any]) -> list[str]:
        betas = []
        if "effort" in body.get("output_config", {}) and not self.traits.adaptive:
            betas.append("effort-2025-11-24")
        if body["max_tokens"] > MORE_TOKENS and not self.traits.adaptive:
            betas.append("output-128k-2025-02-19")
        if body.get("speed") == "fast":
            betas.append("fast-mode-2026-02-01")
        return betas

    def _shape(self, body: dict[str, Any], schema: Any) -> None:
        if self.traits.structured:
            shape = {"type": "json_schema", "schema": for_anthropic(schema)}
            body.setdefault("output_config", {})["format"] = shape
        else:
            body["tools"] = [{"name": SCHEMA_TOOL, "input_schema": schema}]
            body["tool_choice"] = {"type": "tool", "name": SCHEMA_TOOL}

    def _thinking(self, options: dict[str, Any]) -> dict[str, Any]:
        traits, wanted, effort = self.traits, options.get("thinking"), "thinking_effort" in options
        if not traits.thinks:
            return {}
        if wanted is False:
            if traits.always:
                raise InvalidOption(
                    f"{self.model_id} cannot be told not to think.", field="options.thinking"
                )
            return {"type": "disabled"}
        if effort or (wanted and traits.adaptive) or (traits.by_default and not wanted):
            # Without "display" newer models stream thoughts without words.
            return {"type": "adaptive", "display": "summarized"}
        return {"type": "enabled", "budget_tokens": THINKING_TOKENS} if wanted else {}

    def _messages(self, turns: list[Turn], options: dict[str, Any]) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = [
            {"role": "user" if turn.role == "tool" else turn.role, "content": blocks}
            for turn in turns
            if (blocks := self._blocks(turn))
        ]
        if options.get("cache") and messages:
            messages[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
        if prefill := options.get("prefill"):
            if self.traits.adaptive:
                raise InvalidOption(f"{self.model_id} takes no prefill.", field="options.prefill")
            messages.append({"role": "assistant", "content": [{"type": "text", "text": prefill}]})
        return messages

    def _blocks(self, turn: Turn) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = [
            {"type": "tool_result", "tool_use_id": result.tool_call_id, "content": result.output}
            for result in turn.results
        ]
        blocks += [
            {"type": "thinking", "thinking": thought.text, "signature": kept["signature"]}
            if "signature" in kept
            else {"type": "redacted_thinking", "data": kept["data"]}
            for thought in turn.thoughts
            if (kept := kept_for(thought, "anthropic")).keys() & {"signature", "data"}
        ]
        blocks += [self._attachment(each) for each in turn.attachments]
        blocks += [{"type": "text", "text": text} for text in turn.texts]
        blocks += [
            {
                "type": "tool_use",
                "id": call.tool_call_id,
                "name": call.name,
                "input": call.arguments,
            }
            for call in turn.calls
        ]
        return blocks

    def _attachment(self, attachment: llm.Attachment) -> dict[str, Any]:
        kind = type_of(attachment)
        data = base64_of(attachment, self.model_id)
        source = {"type": "base64", "media_type": kind, "data": data}
        return {"type": "image" if kind.startswith("image/") else "document", "source": source}


def _choice(use: Toolset) -> dict[str, Any]:
    """How tools may be called, in Anthropic's words; nothing where it is as the model likes."""
    if use.choice == "none":
        return {"type": "none"}
    kind = {"type": "any" if use.choice == "required" else "auto"}
    if use.named:
        kind = {"type": "tool", "name": use.named}
    if not use.parallel:
        return kind | {"disable_parallel_tool_use": True}
    return kind if kind["type"] != "auto" else {}
