"""Gemini: `generateContent`, and `streamGenerateContent` as SSE or as one growing JSON array."""

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from llm_stream.testing.mockproviders.answers import Asked, MockAnswer, Tokens, opaque_id
from llm_stream.testing.mockproviders.faults import MockFault
from llm_stream.testing.mockproviders.googlewire import (
    JSON_UTF8,
    GoogleWire,
    camel,
    endpoint,
    error_body,
    refuse_unknown,
)
from llm_stream.testing.mockproviders.replies import Reply, encoded, plain
from llm_stream.testing.mockproviders.toolturns import check_parts
from llm_stream.testing.mockproviders.wire import Call, Refusal, joined, listed, require_object

KNOWN: Final = listed(
    "cachedContent contents generationConfig labels model safetySettings serviceTier store"
    " systemInstruction toolConfig tools"
)
"""Fields that a request may have."""

FINISHES: Final = {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}


class Gemini(GoogleWire):
    """The Gemini API."""

    name: ClassVar[str] = "gemini"
    versions: ClassVar[frozenset[str]] = frozenset({"v1", "v1alpha", "v1beta"})
    methods: ClassVar[frozenset[str]] = frozenset({"generateContent", "streamGenerateContent"})

    def read(self, call: Call) -> Asked:
        """Needs `contents`."""
        sent = require_object(call.body)
        refuse_unknown(sent, KNOWN)
        body = {camel(name): value for name, value in sent.items()}
        contents = body.get("contents")
        if not contents:
            raise Refusal(400, "* GenerateContentRequest.contents: contents is not specified")
        model, method = endpoint(call)
        form = "sse" if call.query.get("alt") == "sse" else "array"
        if isinstance(contents, list):
            check_parts(contents)
        last = contents[-1].get("parts", ()) if isinstance(contents, list) else ()
        answered = any("functionResponse" in part for part in last)
        config = body.get("generationConfig") or {}
        wants_json = config.get("responseMimeType") == "application/json"
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        return Asked(
            model=model,
            prompt=joined([body.get("systemInstruction"), contents]),
            stream=method == "streamGenerateContent",
            reasons=bool((config.get("thinkingConfig") or {}).get("includeThoughts")),
            tools={} if answered else offered(body),
            schema=schema or ({"type": "object"} if wants_json else None),
            method=form,
        )

    def reply(self, asked: Asked, answer: MockAnswer, fault: MockFault) -> Reply:
        """Parts of the answer, one after another, or all in one."""
        headers = {"vary": "Origin", "server-timing": "gfet4t7; dur=12"}
        if not asked.stream:
            return plain(whole(asked, answer, fault), headers=headers)
        said = stream(asked, answer, fault)
        if asked.method == "sse":
            chunks = tuple(b"data: " + encoded(part) + b"\r\n\r\n" for part in said)
            return Reply(
                content_type="text/event-stream", chunks=chunks, headers=headers, streams=True
            )
        chunks = tuple(
            (b",\r\n" if number else b"[") + encoded(part) for number, part in enumerate(said)
        )
        end = () if fault.no_done else (b"\n]",)
        return Reply(content_type=JSON_UTF8, chunks=(*chunks, *end), headers=headers, streams=True)

    def error_chunk(self, asked: Asked, status: int, *, first: bool) -> bytes:
        """An `error` where a part of the answer is expected; nothing follows."""
        told = encoded(error_body(status or 503, "The model is overloaded. Try again later."))
        if asked.method == "sse":
            return b"data: " + told + b"\r\n\r\n"
        return (b"[" if first else b",\r\n") + told + b"\n]"


def offered(body: dict[str, Any]) -> dict[str, Any]:
    """The functions of a request, unless none may be called."""
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if calling.get("mode") == "NONE":
        return {}
    declared = (
        function
        for tool in body.get("tools") or ()
        for function in tool.get("functionDeclarations") or tool.get("function_declarations") or ()
    )
    return {
        str(function.get("name")): function.get("parametersJsonSchema")
        or function.get("parameters")
        or {}
        for function in declared
    }


def stream(asked: Asked, answer: MockAnswer, fault: MockFault) -> Iterator[dict[str, Any]]:
    """The parts of an answer that stream."""
    usage = answer.usage(asked)
    begun = Tokens(usage.input, 0, 0)
    for part in parts(asked, answer):
        yield chunk(asked, [part], None, None if fault.no_usage else begun)
    if not fault.no_finish:
        last = [{"text": "", "thoughtSignature": opaque_id("", asked, 40)}]
        finish = FINISHES[answer.finish]
        yield chunk(asked, last, finish, None if fault.no_usage else usage)


def whole(asked: Asked, answer: MockAnswer, fault: MockFault) -> dict[str, Any]:
    """The plain answer: text in one part, thoughts in another."""
    text = MockAnswer(
        text=("".join(answer.text),) if answer.text else (),
        reasoning=("".join(answer.reasoning),) if answer.reasoning else (),
        tool_calls=answer.tool_calls,
    )
    finish = None if fault.no_finish else FINISHES[answer.finish]
    usage = None if fault.no_usage else answer.usage(asked)
    return chunk(asked, [*parts(asked, text)], finish, usage)


def parts(asked: Asked, answer: MockAnswer) -> Iterator[dict[str, Any]]:
    """What is said, a part each."""
    for piece in answer.reasoning:
        yield {"text": piece, "thought": True}
    for piece in answer.text:
        yield {"text": piece}
    for number, call in enumerate(answer.tool_calls):
        called = {"functionCall": {"name": call.name, "args": dict(call.arguments)}}
        # The first call of a turn proves the thoughts before it.
        yield called if number else called | {"thoughtSignature": opaque_id("", asked, 40)}


def chunk(
    asked: Asked, said: list[dict[str, Any]], finish: str | None, tokens: Tokens | None
) -> dict[str, Any]:
    """One GenerateContentResponse."""
    candidate: dict[str, Any] = {"content": {"parts": said, "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    answer: dict[str, Any] = {"candidates": [candidate]}
    if tokens is not None:
        answer["usageMetadata"] = usage_of(tokens)
    return answer | {"modelVersion": asked.model, "responseId": opaque_id("", asked, 22)}


def usage_of(tokens: Tokens) -> dict[str, Any]:
    """The usage object; thoughts are counted beside the candidates."""
    usage: dict[str, Any] = {
        "promptTokenCount": tokens.input,
        "totalTokenCount": tokens.total,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens.input}],
    }
    if tokens.output:
        usage["candidatesTokenCount"] = tokens.output - tokens.reasoning
    if tokens.reasoning:
        usage["thoughtsTokenCount"] = tokens.reasoning
    return usage
