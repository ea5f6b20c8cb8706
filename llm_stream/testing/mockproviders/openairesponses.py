"""OpenAI Responses: `POST /v1/responses`, streamed as named and numbered SSE events."""

from typing import Any, ClassVar, Final

from llm_stream.testing.mockproviders.answers import Asked, MockAnswer
from llm_stream.testing.mockproviders.faults import MockFault
from llm_stream.testing.mockproviders.openaiwire import (
    OpenAIWire,
    refuse_unknown,
    reply_headers,
    require,
)
from llm_stream.testing.mockproviders.replies import SSE, Reply, event, plain
from llm_stream.testing.mockproviders.responseevents import ended, items, response, stream
from llm_stream.testing.mockproviders.toolturns import check_items, offered_by
from llm_stream.testing.mockproviders.wire import Call, joined, listed, require_object

KNOWN: Final = listed(
    "access_programs background context_management conversation include input instructions"
    " max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls"
    " previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention"
    " reasoning safety_identifier service_tier store stream stream_options temperature text"
    " tool_choice tools top_logprobs top_p truncation user"
)
"""Fields that a request may have."""


class OpenAIResponses(OpenAIWire):
    """The Responses API."""

    name: ClassVar[str] = "openai-responses"

    def takes(self, call: Call) -> bool:
        """The endpoint itself; the list of models is the other wire's."""
        return call.method == "POST" and call.path == "/v1/responses"

    def read(self, call: Call) -> Asked:
        """Needs `model` and `input`."""
        body = require_object(call.body)
        require(body, "model", "input")
        refuse_unknown(body, KNOWN)
        turns = body["input"]
        answered = isinstance(turns, list) and turns[-1].get("type") == "function_call_output"
        if isinstance(turns, list):
            check_items(turns)
        offered = {
            str(tool.get("name")): tool.get("parameters") or {}
            for tool in body.get("tools") or ()
            if tool.get("type") == "function"
        }
        wants = (body.get("text") or {}).get("format") or {}
        schemas = {"json_object": {"type": "object"}, "json_schema": wants.get("schema")}
        return Asked(
            model=body["model"],
            prompt=joined([body.get("instructions"), turns]),
            stream=bool(body.get("stream")),
            reasons=bool((body.get("reasoning") or {}).get("summary")),
            tools={} if answered else offered_by(body.get("tool_choice"), offered),
            schema=schemas.get(wants.get("type", "")),
        )

    def reply(self, asked: Asked, answer: MockAnswer, fault: MockFault) -> Reply:
        """Events from `response.created` to `response.completed`, or one `response`."""
        headers = reply_headers(asked)
        if asked.stream:
            chunks = tuple(stream(asked, answer, fault))
            return Reply(content_type=SSE, chunks=chunks, headers=headers, streams=True)
        output = [item.whole for item in items(asked, answer)]
        if fault.no_finish:
            return plain(response(asked, "in_progress", output), headers=headers)
        return plain(ended(asked, answer, output, fault), headers=headers)

    def error_chunk(self, asked: Asked, status: int, *, first: bool) -> bytes:
        """An `error` event and the failed response; nothing follows."""
        code = {429: "rate_limit_exceeded"}.get(status, "server_error")
        text = "The server had an error while it processed your request."
        told: dict[str, Any] = {"type": "error", "code": code, "message": text, "param": None}
        failed = response(asked, "failed", []) | {"error": {"code": code, "message": text}}
        return event({**told, "sequence_number": 9_998}, "error") + event(
            {"type": "response.failed", "response": failed, "sequence_number": 9_999},
            "response.failed",
        )
