"""A response of OpenAI's Responses API: its items, whole and as they are streamed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from llm_stream.testing.mockproviders.answers import Asked, MockAnswer, MockToolCall, opaque_id
from llm_stream.testing.mockproviders.faults import MockFault
from llm_stream.testing.mockproviders.replies import event
from llm_stream.testing.mockproviders.wire import CREATED

INCOMPLETE: Final = {"length": "max_output_tokens", "filter": "content_filter"}
"""Finish -> why a response is incomplete."""

Event = tuple[str, dict[str, Any]]
"""The type of an event and its fields, without number and place."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the output: as it begins, its events, and as it ends."""

    begun: dict[str, Any]
    events: tuple[Event, ...]
    whole: dict[str, Any]


def stream(asked: Asked, answer: MockAnswer, fault: MockFault) -> Iterator[bytes]:
    """The SSE events of an answer."""
    numbers = count()

    def told(kind: str, **fields: Any) -> bytes:
        return event({"type": kind, **fields, "sequence_number": next(numbers)}, kind)

    begun = response(asked, "in_progress", [])
    yield told("response.created", response=begun)
    yield told("response.in_progress", response=begun)
    output = []
    for index, item in enumerate(items(asked, answer)):
        yield told("response.output_item.added", output_index=index, item=item.begun)
        for kind, fields in item.events:
            yield told(kind, item_id=item.whole["id"], output_index=index, **fields)
        yield told("response.output_item.done", output_index=index, item=item.whole)
        output.append(item.whole)
    if not fault.no_finish:
        whole = ended(asked, answer, output, fault)
        yield told(f"response.{whole['status']}", response=whole)


def items(asked: Asked, answer: MockAnswer) -> Iterator[Item]:
    """The items of the output."""
    if answer.reasoning:
        yield reasoning_item(opaque_id("rs_", asked, 48), answer)
    if answer.text:
        yield message_item(opaque_id("msg_", asked, 48), answer)
    for index, call in enumerate(answer.tool_calls):
        names = opaque_id(f"fc_{index}", asked, 48), opaque_id(f"call_{index}", asked)
        yield call_item(*names, call)


def reasoning_item(name: str, answer: MockAnswer) -> Item:
    """The summary of the reasoning."""
    text = "".join(answer.reasoning)
    part = {"type": "summary_text", "text": text}
    at = {"summary_index": 0}
    base = {"id": name, "type": "reasoning"}
    said = "response.reasoning_summary"
    deltas = ((f"{said}_text.delta", {**at, "delta": piece}) for piece in answer.reasoning)
    events = (
        (f"{said}_part.added", {**at, "part": part | {"text": ""}}),
        *deltas,
        (f"{said}_text.done", {**at, "text": text}),
        (f"{said}_part.done", {**at, "part": part}),
    )
    return Item(base | {"summary": []}, events, base | {"summary": [part]})


def message_item(name: str, answer: MockAnswer) -> Item:
    """The text."""
    text = "".join(answer.text)
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    at = {"content_index": 0}
    base = {"id": name, "type": "message", "role": "assistant"}
    status = "completed" if answer.finish == "stop" else "incomplete"
    deltas = (
        ("response.output_text.delta", {**at, "delta": piece, "logprobs": []})
        for piece in answer.text
    )
    events = (
        ("response.content_part.added", {**at, "part": part | {"text": ""}}),
        *deltas,
        ("response.output_text.done", {**at, "text": text, "logprobs": []}),
        ("response.content_part.done", {**at, "part": part}),
    )
    begun = base | {"status": "in_progress", "content": []}
    return Item(begun, events, base | {"status": status, "content": [part]})


def call_item(name: str, call_id: str, call: MockToolCall) -> Item:
    """A tool call."""
    arguments = "".join(call.pieces)
    base = {"id": name, "type": "function_call", "call_id": call_id, "name": call.name}
    said = "response.function_call_arguments"
    events = (
        *((f"{said}.delta", {"delta": piece}) for piece in call.pieces),
        (f"{said}.done", {"arguments": arguments}),
    )
    begun = base | {"status": "in_progress", "arguments": ""}
    return Item(begun, events, base | {"status": "completed", "arguments": arguments})


def ended(
    asked: Asked, answer: MockAnswer, output: list[dict[str, Any]], fault: MockFault
) -> dict[str, Any]:
    """The response when all was said."""
    reason = INCOMPLETE.get(answer.finish)
    whole = response(asked, "incomplete" if reason else "completed", output)
    if reason:
        whole["incomplete_details"] = {"reason": reason}
    if fault.no_usage:
        return whole
    tokens = answer.usage(asked)
    return whole | {
        "usage": {
            "input_tokens": tokens.input,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens.output,
            "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
            "total_tokens": tokens.total,
        }
    }


def response(asked: Asked, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    """A response object."""
    return {
        "id": opaque_id("resp_", asked, 48),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": asked.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
    }
