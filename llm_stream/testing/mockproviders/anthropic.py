"""Anthropic messages: `POST /v1/messages`, streamed as named SSE events in blocks."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from llm_stream.testing.mockproviders.answers import Asked, MockAnswer, Tokens, opaque_id
from llm_stream.testing.mockproviders.faults import MockFault
from llm_stream.testing.mockproviders.replies import SSE, Reply, event, plain
from llm_stream.testing.mockproviders.toolturns import check_blocks
from llm_stream.testing.mockproviders.wire import (
    Call,
    Refusal,
    Wire,
    joined,
    listed,
    require_object,
)

KNOWN: Final = listed(
    "cache_control container context_management diagnostics inference_geo max_tokens mcp_servers"
    " messages metadata model output_config output_format service_tier speed stop_sequences stream"
    " system temperature thinking tool_choice tools top_k top_p user_profile_id"
)
"""Fields that a request may have."""

KINDS: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Status -> `error.type`; other 4xx are `invalid_request_error`, other 5xx `api_error`."""

Block = dict[str, Any]
Deltas = list[dict[str, str]]

EMPTY: Final[Block] = {"thinking": "", "signature": "", "text": "", "input": {}}
"""Fields of a block -> what they are before the first delta."""

FINISHES: Final = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}


class AnthropicMessages(Wire):
    """The messages API."""

    name: ClassVar[str] = "anthropic"

    def takes(self, call: Call) -> bool:
        """The endpoint itself and the list of models."""
        return call.path == ("/v1/models" if call.method == "GET" else "/v1/messages")

    def admit(self, call: Call) -> None:
        """Ask for a key, in either header, and for the version of the API."""
        key = call.headers.get("x-api-key") or call.bearer
        if not key:
            raise Refusal(401, "x-api-key header is required")
        if "invalid" in key:
            raise Refusal(401, "invalid x-api-key")
        if "anthropic-version" not in call.headers:
            raise Refusal(400, "anthropic-version: header is required")

    def read(self, call: Call) -> Asked:
        """Needs `model`, `max_tokens` and `messages`."""
        body = require_object(call.body)
        for name in ("model", "max_tokens", "messages"):
            if not body.get(name):
                raise Refusal(400, f"{name}: Field required")
        for name in body:
            if name not in KNOWN:
                raise Refusal(400, f"{name}: Extra inputs are not permitted")
        if any(message.get("role") == "system" for message in body["messages"]):
            raise Refusal(400, 'messages: Unexpected role "system", use the field system')
        check_blocks(body["messages"])
        last = body["messages"][-1].get("content")
        answered = any(part.get("type") == "tool_result" for part in last if isinstance(part, dict))
        choice = body.get("tool_choice") or {}
        offered = {
            str(tool.get("name")): tool.get("input_schema") or {}
            for tool in body.get("tools") or ()
            if choice.get("name") in (None, tool.get("name"))
        }
        form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
        return Asked(
            model=body["model"],
            prompt=joined([body.get("system"), *body["messages"]]),
            stream=bool(body.get("stream")),
            reasons=(body.get("thinking") or {}).get("type") in {"enabled", "adaptive"},
            tools={} if answered or choice.get("type") == "none" else offered,
            schema=form.get("schema"),
        )

    def reply(self, asked: Asked, answer: MockAnswer, fault: MockFault) -> Reply:
        """Events from `message_start` to `message_stop`, or one `message`."""
        headers = {
            "request-id": opaque_id("req_", asked),
            "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3999",
            "anthropic-ratelimit-requests-reset": "2030-01-01T00:00:00Z",
        }
        if asked.stream:
            chunks = tuple(stream(asked, answer, fault))
            return Reply(content_type=SSE, chunks=chunks, headers=headers, streams=True)
        whole = message(asked, [block for block, _ in blocks(asked, answer)])
        whole["stop_reason"] = None if fault.no_finish else finish_of(answer)
        if not fault.no_usage:
            whole["usage"] = usage_of(answer.usage(asked))
        return plain(whole, headers=headers)

    def limits(self, left: int, reset_seconds: float) -> Mapping[str, str]:
        """A count and a moment."""
        moment = datetime.now(UTC) + timedelta(seconds=reset_seconds)
        return {
            "anthropic-ratelimit-requests-remaining": str(left),
            "anthropic-ratelimit-requests-reset": moment.isoformat().replace("+00:00", "Z"),
        }

    def error(self, refusal: Refusal, call: Call) -> Reply:
        """`{"type": "error", "error": {type, message}, "request_id": ...}`."""
        body = error_body(refusal.status, refusal.message, call.request_id)
        return plain(body, refusal.status, {"request-id": call.request_id})

    def error_chunk(self, asked: Asked, status: int, *, first: bool) -> bytes:
        """An `error` event; nothing follows."""
        body = error_body(status or 529, "Overloaded", opaque_id("req_", asked))
        return event(body, "error")

    def models(self, names: Sequence[str]) -> Reply:
        """A page of models."""
        data = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2025-01-01T00:00:00Z",
            }
            for name in names
        ]
        return plain({"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]})


def error_body(status: int, text: str, request_id: str) -> dict[str, Any]:
    """An error as JSON."""
    kind = KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": request_id}


def stream(asked: Asked, answer: MockAnswer, fault: MockFault) -> Iterator[bytes]:
    """The SSE events of an answer."""
    usage = answer.usage(asked)
    begun = message(asked, [])
    if not fault.no_usage:
        begun["usage"] = usage_of(Tokens(usage.input, 1, 0))
    yield event({"type": "message_start", "message": begun}, "message_start")
    for index, (block, deltas) in enumerate(blocks(asked, answer)):
        yield from block_events(index, block, deltas)
        if index == 0:
            yield event({"type": "ping"}, "ping")
    if fault.no_finish:
        return
    delta = {"stop_reason": finish_of(answer), "stop_sequence": None}
    ended: dict[str, Any] = {"type": "message_delta", "delta": delta}
    if not fault.no_usage:
        ended["usage"] = usage_of(usage)
    yield event(ended, "message_delta")
    if not fault.no_done:
        yield event({"type": "message_stop"}, "message_stop")


def block_events(index: int, block: Block, deltas: Deltas) -> Iterator[bytes]:
    """How one block of content is streamed."""
    begun = block | {name: empty for name, empty in EMPTY.items() if name in block}
    start = {"type": "content_block_start", "index": index, "content_block": begun}
    yield event(start, "content_block_start")
    for delta in deltas:
        changed = {"type": "content_block_delta", "index": index, "delta": delta}
        yield event(changed, "content_block_delta")
    yield event({"type": "content_block_stop", "index": index}, "content_block_stop")


def blocks(asked: Asked, answer: MockAnswer) -> Iterator[tuple[Block, Deltas]]:
    """The content of the plain answer, block by block, and how each grows in a stream."""
    if answer.reasoning:
        thoughts, signature = "".join(answer.reasoning), opaque_id("Eq", asked, 60)
        block: Block = {"type": "thinking", "thinking": thoughts, "signature": signature}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in answer.reasoning]
        yield block, [*deltas, {"type": "signature_delta", "signature": signature}]
    if answer.text:
        block = {"type": "text", "text": "".join(answer.text)}
        yield block, [{"type": "text_delta", "text": piece} for piece in answer.text]
    for index, call in enumerate(answer.tool_calls):
        name, arguments = opaque_id(f"toolu_{index}", asked), dict(call.arguments)
        block = {"type": "tool_use", "id": name, "name": call.name, "input": arguments}
        pieces = ("", *call.pieces)
        yield block, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def message(asked: Asked, content: list[dict[str, Any]]) -> dict[str, Any]:
    """A message that has not ended yet."""
    return {
        "id": opaque_id("msg_", asked),
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
    }


def finish_of(answer: MockAnswer) -> str:
    """The stop reason."""
    if answer.tool_calls and answer.finish == "stop":
        return "tool_use"
    return FINISHES[answer.finish]


def usage_of(tokens: Tokens) -> dict[str, Any]:
    """The usage object."""
    return {
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": tokens.output,
        "service_tier": "standard",
    }
