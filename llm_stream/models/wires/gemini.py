"""Gemini's generateContent.

Source: Gemini API reference, "Generating content", with Server-Sent Events (`alt=sse`).
"""

from typing import Any, Final
from urllib.parse import quote

import llm
import orjson
from llm.parts import StreamEvent, ToolCallPart

from llm_stream.errors import UnsupportedByModel, UpstreamFailed
from llm_stream.models.toolset import Toolset
from llm_stream.models.wires.answer import NOTHING, Answer, Said, nonzero, text_of
from llm_stream.models.wires.credentials import google
from llm_stream.models.wires.model import WireModel
from llm_stream.models.wires.options import given
from llm_stream.models.wires.refusals import error_event
from llm_stream.models.wires.schemas import for_gemini
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

REFUSALS: Final = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"}
)
WHOLE: Final = frozenset({"STOP", "MAX_TOKENS"})

HARMS: Final = ("DANGEROUS_CONTENT", "SEXUALLY_EXPLICIT", "HATE_SPEECH", "HARASSMENT")
CONFIG: Final = {
    "temperature": "temperature",
    "max_output_tokens": "maxOutputTokens",
    "top_p": "topP",
    "top_k": "topK",
}
TYPES: Final = {"audio/mpeg": "audio/mp3", "application/ogg": "audio/ogg"}
"""What Gemini calls types by another name."""


class GeminiAnswer(Answer):
    """Reads `GenerateContentResponse` objects, of which each continues the last."""

    def __init__(self, model_id: str) -> None:
        super().__init__(model_id)
        self._calls = 0

    def take_whole(self, body: Any) -> Said:
        """One object, or the only one: nothing but the body's end tells that the last has come."""
        if body.get("error"):
            raise error_event(body["error"], self.model_id)
        found: Said = NOTHING
        if candidates := body.get("candidates"):
            candidate = candidates[0]
            parts = (candidate.get("content") or {}).get("parts") or ()
            found = [e for part in parts for e in self._part(part)]
            if found and self.finish_reason is not None:
                # Older models say STOP with every piece.
                self.ends = False
            if reason := candidate.get("finishReason"):
                self._finish(body, text_of(reason))
        elif blocked := (body.get("promptFeedback") or {}).get("blockReason"):
            self.refused.append(text_of(blocked))
        if usage := body.get("usageMetadata"):
            self._count(usage)
        return found

    def _part(self, part: dict[str, Any]) -> Said:
        if text := part.get("text"):
            words = text_of(text)
            return (StreamEvent(type="reasoning", chunk=words) if part.get("thought") else words,)
        if call := part.get("functionCall"):
            call_id = call.get("id") or f"call_{self._calls}"
            self._calls += 1
            arguments = orjson.dumps(call.get("args") or {}).decode()
            signature = part.get("thoughtSignature")
            kept = {"gemini": {"thoughtSignature": text_of(signature)}} if signature else None
            return (
                self.tool_called(call_id, call["name"], kept),
                self.tool_arguments(call_id, arguments),
            )
        return NOTHING

    def _finish(self, event: dict[str, Any], reason: str) -> None:
        if reason in REFUSALS:
            self.refused.append(reason)
        elif reason not in WHOLE:
            raise UpstreamFailed(f"{self.model_id}: the provider ended with {reason[:100]}")
        self.finish_reason = reason
        self.model, self.answer_id = event.get("modelVersion"), event.get("responseId")

    def _count(self, usage: dict[str, Any]) -> None:
        """Counts are cumulative; thoughts are output, results of tools are input."""
        if (prompt := usage.get("promptTokenCount")) is not None:
            self.input_tokens = prompt + usage.get("toolUsePromptTokenCount", 0)
            self.output_tokens = usage.get("candidatesTokenCount", 0) + usage.get(
                "thoughtsTokenCount", 0
            )
        said = {"promptTokenCount", "totalTokenCount"}
        self.details = nonzero({k: v for k, v in usage.items() if k not in said})


class GeminiModel(WireModel):
    """A model behind `:streamGenerateContent`.

    Args:
        *args: see `WireModel`.
        thinks: whether thoughts can be asked for.
        **more: see `WireModel`.
    """

    def __init__(self, *args: Any, thinks: bool, **more: Any) -> None:
        super().__init__(*args, **more)
        self._thinks = thinks

    def path(self, *, stream: bool) -> str:
        """The model's name is quoted: it can come from a request."""
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{quote(self.upstream_name, safe='')}:{method}"

    def headers(self, key: str | None, body: dict[str, Any]) -> dict[str, str]:
        """The key in Google's own header."""
        return google(key)

    def answer(self, prompt: llm.Prompt) -> Answer:
        """See `WireModel`."""
        return GeminiAnswer(self.model_id)

    def request(self, prompt: llm.Prompt, *, stream: bool) -> dict[str, Any]:
        """See `WireModel`."""
        system, turns = split(turns_of(prompt))
        body: dict[str, Any] = {
            "contents": [
                {"role": "model" if turn.role == "assistant" else "user", "parts": parts}
                for turn in turns
                if (parts := self._parts(turn))
            ],
            # As llm-gemini does: whether an answer is acceptable is for the caller to say.
            "safetySettings": [
                {"category": f"HARM_CATEGORY_{harm}", "threshold": "BLOCK_NONE"} for harm in HARMS
            ],
        }
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if config := self._config(prompt, given(prompt.options)):
            body["generationConfig"] = config
        if prompt.tools:
            body |= self._tools(prompt)
        return body

    def _tools(self, prompt: llm.Prompt) -> dict[str, Any]:
        tools = [
            {"name": tool.name, "description": tool.description or ""}
            | self._parameters(tool, place)
            for place, tool in enumerate(function_tools(prompt, self.model_id))
        ]
        calling = self._calling(use_of(prompt))
        found = {"tools": [{"functionDeclarations": tools}]}
        return found | ({"toolConfig": {"functionCallingConfig": calling}} if calling else {})

    def _parameters(self, tool: llm.Tool, place: int) -> dict[str, Any]:
        try:
            schema = for_gemini(tool.input_schema, self.model_id)
        except UnsupportedByModel as error:
            error.field = f"tools.{place}.parameters"
            raise
        # An object without properties is refused; a function without parameters is not.
        return {"parameters": schema} if schema.get("properties") else {}

    def _calling(self, use: Toolset) -> dict[str, Any]:
        if not use.parallel:
            raise UnsupportedByModel(
                f"{self.model_id} cannot be told to call one tool at a time.",
                field="parallel_tool_calls",
            )
        if use.named:
            return {"mode": "ANY", "allowedFunctionNames": [use.named]}
        return {"none": {"mode": "NONE"}, "required": {"mode": "ANY"}}.get(use.choice, {})

    def _config(self, prompt: llm.Prompt, options: dict[str, Any]) -> dict[str, Any]:
        found = {theirs: options[ours] for ours, theirs in CONFIG.items() if ours in options}
        thinking: dict[str, Any] = {"includeThoughts": True} if self._thinks else {}
        if "thinking_budget" in options:
            thinking["thinkingBudget"] = options["thinking_budget"]
        if "thinking_level" in options:
            thinking["thinkingLevel"] = options["thinking_level"]
        if thinking:
            found["thinkingConfig"] = thinking
        if "media_resolution" in options:
            found["mediaResolution"] = f"MEDIA_RESOLUTION_{options['media_resolution'].upper()}"
        if options.get("json_object") or prompt.schema:
            found["responseMimeType"] = "application/json"
        if prompt.schema:
            found["responseSchema"] = for_gemini(prompt.schema, self.model_id)
        return found

    def _parts(self, turn: Turn) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"text": text} for text in turn.texts]
        for each in turn.attachments:
            kind = type_of(each)
            data = base64_of(each, self.model_id)
            parts.append({"inlineData": {"mimeType": TYPES.get(kind, kind), "data": data}})
        parts += [
            {
                "functionCall": {"name": call.name, "args": call.arguments},
                **_signature(call),
            }
            for call in turn.calls
        ]
        parts += [
            {"functionResponse": {"name": result.name, "response": {"output": result.output}}}
            for result in turn.results
        ]
        return parts


def _signature(call: ToolCallPart) -> dict[str, Any]:
    """What proves that the thoughts before a call were its own; nothing else of what was kept."""
    signature = kept_for(call, "gemini").get("thoughtSignature")
    return {"thoughtSignature": signature} if isinstance(signature, str) else {}
