"""What answers of both calls have in common: how they ended, what they cost, what they are."""

from typing import Any, Final

import orjson

from llm_stream.engine.fold import Fold

REASONS: Final = {
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
}
"""Providers' words for how an answer ended -> OpenAI's; all others are an end of their own."""


def finish_reason(terminal: dict[str, Any] | None) -> str:
    """OpenAI's word for how an answer ended."""
    return REASONS.get(str((terminal or {}).get("finish_reason")).lower(), "stop")


def counts(terminal: dict[str, Any] | None) -> tuple[int, int] | None:
    """Tokens of the question and of the answer; None where the model did not say."""
    usage = (terminal or {}).get("usage") or {}
    asked, said = usage.get("input_tokens"), usage.get("output_tokens")
    return None if asked is None or said is None else (asked, said)


def text_of(fold: Fold, *, structured: bool) -> str:
    """The text of an answer; where a schema was asked for, JSON and nothing around it.

    What is said beside calls of tools is not held against the schema.
    """
    text = "".join(fold.text)
    if structured and not fold.tool_calls:
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return orjson.dumps((fold.terminal or {}).get("result")).decode()
    return text


def arguments_of(call: dict[str, Any]) -> str:
    """The arguments of a `tool.called` event, as the text that OpenAI sends."""
    return orjson.dumps(call["arguments"]).decode()


def kept_of(call: dict[str, Any]) -> dict[str, Any]:
    """What is to be sent back with a call, in the field that Google's own door has for it."""
    kept = call.get("provider_metadata")
    return {} if kept is None else {"extra_content": kept}
