"""OpenAI chat completions: `POST /v1/chat/completions`, streamed as nameless SSE events."""

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from llm_stream.testing.mockproviders.answers import Asked, MockAnswer, Tokens, opaque_id
from llm_stream.testing.mockproviders.faults import MockFault
from llm_stream.testing.mockproviders.openaiwire import (
    OpenAIWire,
    described,
    refuse_unknown,
    reply_headers,
    require,
)
from llm_stream.testing.mockproviders.replies import SSE, Reply, event, plain
from llm_stream.testing.mockproviders.toolturns import check_messages, offered_by
from llm_stream.testing.mockproviders.wire import CREATED, Call, joined, listed, require_object

KNOWN: Final = listed(
    "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens"
    " max_tokens messages metadata modalities model moderation n parallel_tool_calls prediction"
    " presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention"
    " reasoning_effort response_format safety_identifier seed service_tier stop store stream"
    " stream_options temperature tool_choice tools top_logprobs top_p user verbosity"
    " web_search_options"
)
"""Fields that a request may have."""

FINISHES: Final = {"stop": "stop", "length": "length", "filter": "content_filter"}


class OpenAIChat(OpenAIWire):
    """Chat completions."""

    name: ClassVar[str] = "openai"

    def takes(self, call: Call) -> bool:
        """The endpoint itself and the list of models, unless that is asked for as Anthropic's."""
        if call.method == "GET":
            return call.path == "/v1/models" and "anthropic-version" not in call.headers
        return call.path == "/v1/chat/completions"

    def read(self, call: Call) -> Asked:
        """Needs `model` and `messages`."""
        body = require_object(call.body)
        require(body, "model", "messages")
        refuse_unknown(body, KNOWN)
        wants = body.get("response_format") or {}
        functions = [tool.get("function") or {} for tool in body.get("tools") or ()]
        offered = {str(f.get("name")): f.get("parameters") or {} for f in functions}
        check_messages(body["messages"])
        answered = body["messages"][-1].get("role") == "tool"
        json_schema = (wants.get("json_schema") or {}).get("schema")
        schemas: dict[str, Any] = {"json_object": {"type": "object"}, "json_schema": json_schema}
        return Asked(
            model=body["model"],
            prompt=joined(body["messages"]),
            stream=bool(body.get("stream")),
            tools={} if answered else offered_by(body.get("tool_choice"), offered),
            schema=schemas.get(wants.get("type", "")),
            with_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        )

    def reply(self, asked: Asked, answer: MockAnswer, fault: MockFault) -> Reply:
        """Chunks and `[DONE]`, or one `chat.completion`."""
        if asked.stream:
            chunks = tuple(stream(asked, answer, fault))
            return Reply(
                content_type=SSE, chunks=chunks, headers=reply_headers(asked), streams=True
            )
        return plain(completion(asked, answer, fault), headers=reply_headers(asked))

    def error_chunk(self, asked: Asked, status: int, *, first: bool) -> bytes:
        """An `error` where a chunk is expected; nothing follows."""
        message = "The server had an error while it processed your request."
        return event({"error": described(message, status or 500, None, None)})


def stream(asked: Asked, answer: MockAnswer, fault: MockFault) -> Iterator[bytes]:
    """The SSE events of an answer."""
    common = common_fields(asked, "chat.completion.chunk")
    if asked.with_usage:
        common["usage"] = None

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**common, "choices": [choice]})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for piece in answer.reasoning:
        yield chunk({"reasoning_content": piece})
    for piece in answer.text:
        yield chunk({"content": piece})
    for index, call in enumerate(answer.tool_calls):
        begun = {"name": call.name, "arguments": ""}
        yield chunk(
            {"tool_calls": [{"index": index, **call_fields(asked, index), "function": begun}]}
        )
        for piece in call.pieces:
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    if fault.no_finish:
        return
    yield chunk({}, finish_of(answer))
    if asked.with_usage and not fault.no_usage:
        yield event({**common, "choices": [], "usage": usage_of(answer.usage(asked))})
    if not fault.no_done:
        yield event("[DONE]")


def completion(asked: Asked, answer: MockAnswer, fault: MockFault) -> dict[str, Any]:
    """The plain answer."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(answer.text) or None,
        "refusal": None,
        "annotations": [],
    }
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                **call_fields(asked, index),
                "function": {"name": call.name, "arguments": "".join(call.pieces)},
            }
            for index, call in enumerate(answer.tool_calls)
        ]
    finish = None if fault.no_finish else finish_of(answer)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    whole = {**common_fields(asked, "chat.completion"), "choices": [choice]}
    return whole if fault.no_usage else whole | {"usage": usage_of(answer.usage(asked))}


def common_fields(asked: Asked, kind: str) -> dict[str, Any]:
    """What all chunks and the plain answer have."""
    return {
        "id": opaque_id("chatcmpl-", asked),
        "object": kind,
        "created": CREATED,
        "model": asked.model,
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
    }


def call_fields(asked: Asked, index: int) -> dict[str, str]:
    """What a tool call has beside its function."""
    return {"id": opaque_id(f"call_{index}", asked), "type": "function"}


def finish_of(answer: MockAnswer) -> str:
    """The finish reason."""
    if answer.tool_calls and answer.finish == "stop":
        return "tool_calls"
    return FINISHES[answer.finish]


def usage_of(tokens: Tokens) -> dict[str, Any]:
    """The usage object."""
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.total,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
