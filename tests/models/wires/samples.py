"""One small answer of every wire, as its provider's documentation shows it: "Héllo, wörld."."""

import json
from dataclasses import dataclass
from typing import Any


def sse(*events: Any, named: bool = False) -> list[bytes]:
    """Events as blocks of bytes; `named` gives each the name that is in its `type`."""
    return [
        (f"event: {event['type']}\n" if named else "").encode()
        + b"data: "
        + (event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode())
        + b"\n\n"
        for event in events
    ]


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A piece of a chat completion."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "model": "gpt-x-1", "choices": [choice], **more}


CHAT_USAGE = {
    **chunk(),
    "choices": [],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "total_tokens": 13,
        "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
    },
}

CHAT = sse(
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Héllo,"}),
    chunk({"content": " wörld."}),
    chunk({}, "stop"),
    CHAT_USAGE,
    b"[DONE]",
)

RESPONSE = {
    "id": "resp_1",
    "model": "gpt-x-1",
    "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "Héllo, wörld."}]}],
    "usage": {
        "input_tokens": 9,
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 2},
    },
}

RESPONSES = sse(
    {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"type": "message", "content": []},
    },
    {"type": "response.output_text.delta", "output_index": 0, "delta": "Héllo,"},
    {"type": "response.output_text.delta", "output_index": 0, "delta": " wörld."},
    {"type": "response.output_text.done", "output_index": 0, "text": "Héllo, wörld."},
    {"type": "response.completed", "response": RESPONSE},
    named=True,
)

ANTHROPIC = sse(
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "model": "claude-x-1",
            "usage": {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 0},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Héllo,"},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": " wörld."},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 4},
    },
    {"type": "message_stop"},
    named=True,
)


def part(text: str, **candidate: Any) -> dict[str, Any]:
    """A piece of a Gemini answer."""
    content = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [{"content": content, "index": 0, **candidate}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 2,
            "thoughtsTokenCount": 2,
            "totalTokenCount": 13,
        },
        "modelVersion": "gemini-x-1",
        "responseId": "r_1",
    }


GEMINI = sse(part("Héllo,"), part(" wörld.", finishReason="STOP"))


@dataclass(frozen=True, slots=True)
class Sample:
    """A wire's answer; from the block `whole` on, it has its end mark."""

    blocks: list[bytes]
    whole: int
    finish_reason: str
    path: str
    model: str

    @property
    def body(self) -> bytes:
        """All blocks."""
        return b"".join(self.blocks)

    @property
    def whole_from(self) -> int:
        """The least number of bytes that make a whole answer."""
        return len(b"".join(self.blocks[: self.whole]))


SAMPLES = {
    "openai": Sample(CHAT, 4, "stop", "/v1/chat/completions", "gpt-x-1"),
    "openai_responses": Sample(RESPONSES, 6, "stop", "/v1/responses", "gpt-x-1"),
    "anthropic": Sample(ANTHROPIC, 8, "end_turn", "/v1/messages", "claude-x-1"),
    "gemini": Sample(
        GEMINI, 2, "STOP", "/v1beta/models/m:streamGenerateContent?alt=sse", "gemini-x-1"
    ),
}
"""By kind of provider; PaLM does not stream."""

PALM = {"candidates": [{"author": "1", "content": "Héllo, wörld."}]}
