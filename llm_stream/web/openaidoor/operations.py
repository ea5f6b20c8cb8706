"""What OpenAI's SDKs can call, described for GET /openapi.json."""

from typing import Final

from llm_stream.web.negotiation import JSON_TYPE, SSE_TYPE
from llm_stream.web.openaidoor.responsesshapes import ResponsesBody
from llm_stream.web.openaidoor.shapes import ChatBody
from llm_stream.web.operation import EVENTS, TEXT, Operation, Schema, an_object

FAILURE: Final[Schema] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "description": "/docs/openai explains it.",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": TEXT,
                "type": TEXT,
                "param": {"type": ["string", "null"]},
                "code": TEXT,
            },
        }
    },
}

FAILURES: Final = {JSON_TYPE: FAILURE}
RESPONSE: Final = an_object("id", "object", "created_at", "status", "error", "model", "output")
STREAMED: Final = {JSON_TYPE: RESPONSE, SSE_TYPE: EVENTS}

OPERATIONS: Final[dict[str, Operation]] = {
    "POST /v1/chat/completions": Operation(
        "Answer a conversation, as OpenAI's chat completions do.",
        {
            200: {
                JSON_TYPE: an_object("id", "object", "created", "model", "choices", "usage"),
                SSE_TYPE: EVENTS,
            }
        },
        ChatBody,
        headers={"Idempotency-Key": TEXT},
        failures=FAILURES,
        example={"model": "default", "messages": [{"role": "user", "content": "Say hello."}]},
    ),
    "POST /v1/responses": Operation(
        "Answer, as OpenAI's Responses do.",
        {200: STREAMED},
        ResponsesBody,
        headers={"Idempotency-Key": TEXT},
        failures=FAILURES,
        example={"model": "default", "input": "Say hello."},
    ),
    "GET /v1/responses/{run}": Operation(
        "A response as far as it has come, or its events.",
        {200: STREAMED},
        query={"stream": {"type": "boolean"}, "starting_after": {"type": "integer", "minimum": 0}},
        failures=FAILURES,
    ),
    "POST /v1/responses/{run}/cancel": Operation(
        "Want a response no more.",
        {200: {JSON_TYPE: RESPONSE}},
        query={"claim": TEXT},
        failures=FAILURES,
    ),
}
