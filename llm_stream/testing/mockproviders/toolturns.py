"""Calls of tools and their results in a request, as each provider insists on them."""

from collections.abc import Iterable, Mapping
from typing import Any

from llm_stream.testing.mockproviders.wire import Refusal


def check_messages(messages: Iterable[Any]) -> None:
    """OpenAI's chat completions: results follow the message that calls, one for each call.

    Raises:
        Refusal: they do not.
    """
    waiting: set[str] = set()
    for message in messages:
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in waiting:
                raise Refusal(
                    400,
                    "messages with role 'tool' must be a response to a preceding message with"
                    " 'tool_calls'.",
                )
            waiting.discard(message["tool_call_id"])
            continue
        _refuse_waiting(waiting)
        waiting = {call["id"] for call in message.get("tool_calls") or ()}
    _refuse_waiting(waiting)


def _refuse_waiting(waiting: Iterable[str]) -> None:
    for call in waiting:
        raise Refusal(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding"
            f" to each 'tool_call_id'. No response for {call}.",
        )


def check_items(items: Iterable[Any]) -> None:
    """OpenAI's Responses: each call has an output, each output a call; raises as above."""
    found: dict[str, set[str]] = {"function_call": set(), "function_call_output": set()}
    for item in items:
        if item.get("type") in found:
            found[item["type"]].add(item["call_id"])
    calls, outputs = found.values()
    for call in calls - outputs:
        raise Refusal(400, f"No tool output found for function call {call}.", param="input")
    for call in outputs - calls:
        raise Refusal(400, f"No tool call found for function call output {call}.", param="input")


def check_blocks(messages: Iterable[Any]) -> None:
    """Anthropic: all results are in the message behind that of the calls; raises as above."""
    waiting: set[str] = set()
    for message in messages:
        blocks = [block for block in message.get("content") or () if isinstance(block, dict)]
        results = {block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"}
        for call in waiting - results:
            raise Refusal(
                400, f"`tool_use` ids were found without `tool_result` blocks after: {call}."
            )
        for call in results - waiting:
            raise Refusal(400, f"unexpected `tool_use_id` found in `tool_result` blocks: {call}.")
        waiting = {block["id"] for block in blocks if block.get("type") == "tool_use"}


def check_parts(contents: Iterable[Any]) -> None:
    """Gemini: as many responses as calls, and no call without its signature; raises as above."""
    called = 0
    for content in contents:
        parts = content.get("parts") or ()
        calls = [part for part in parts if "functionCall" in part]
        answered = sum("functionResponse" in part for part in parts)
        if answered != called:
            raise Refusal(
                400,
                "Please ensure that the number of function response parts is equal to the number"
                " of function call parts of the function call turn.",
            )
        if calls and "thoughtSignature" not in calls[0]:
            name = calls[0]["functionCall"].get("name")
            raise Refusal(400, f"Function call {name} is missing a thought_signature.")
        called = len(calls)


def offered_by(choice: Any, tools: Mapping[str, Any]) -> dict[str, Any]:
    """What an OpenAI model may call: all tools, the one that was chosen, or none."""
    if choice == "none":
        return {}
    chosen = choice.get("function", choice).get("name") if isinstance(choice, dict) else None
    return {name: schema for name, schema in tools.items() if chosen in {None, name}}
