"""Reads what Anthropic's messages answer.

Source: Anthropic's API reference, "Streaming Messages".
"""

from typing import Any

import orjson
from llm.parts import StreamEvent

from llm_stream.models.wires.answer import NOTHING, Answer, Said, nonzero, text_of
from llm_stream.models.wires.refusals import error_event


class ClaudeAnswer(Answer):
    """Reads the events of a message.

    Args:
        model_id: begins the details of errors.
        prefill: what the answer begins with and the provider does not repeat.
    """

    def __init__(self, model_id: str, prefill: str = "") -> None:
        super().__init__(model_id)
        self._prefill = prefill
        self._stop_reason: str | None = None
        self._call_ids: dict[int, str] = {}

    def take(self, event: Any) -> Said:
        """One event. Whole is an answer with a stop reason and the end of its message."""
        match event["type"]:
            case "content_block_delta":
                return self._delta(event["index"], event["delta"])
            case "content_block_start":
                return self._begin(event["index"], event["content_block"])
            case "message_start":
                self._about(event["message"])
                return self._begun()
            case "message_delta":
                self._stop(event["delta"])
                self._count(event.get("usage") or {})
            case "message_stop":
                self.finish_reason = self._stop_reason
                self.closed = True
            case "error":
                raise error_event(event["error"], self.model_id)
        return NOTHING

    def take_whole(self, body: Any) -> Said:
        """A message in one piece."""
        if body["type"] == "error":
            raise error_event(body["error"], self.model_id)
        self._about(body)
        found = [*self._begun()]
        for index, block in enumerate(body["content"]):
            found += self._begin(index, block)
        self._stop(body)
        self.finish_reason = self._stop_reason
        return found

    def _begun(self) -> Said:
        return (self._prefill,) if self._prefill else NOTHING

    def _delta(self, index: int, delta: dict[str, Any]) -> Said:
        match delta["type"]:
            case "text_delta":
                return (text_of(delta["text"]),)
            case "thinking_delta":
                return (_thought(index, text_of(delta["thinking"])),)
            case "signature_delta":
                return (_thought(index, signature=text_of(delta["signature"])),)
            case "input_json_delta" if index in self._call_ids:
                piece = text_of(delta["partial_json"])
                return (self.tool_arguments(self._call_ids[index], piece),)
        return NOTHING

    def _begin(self, index: int, block: dict[str, Any]) -> Said:
        match block["type"]:
            case "text" if block["text"]:
                return (text_of(block["text"]),)
            case "thinking":
                signed = {"signature": block["signature"]} if block.get("signature") else {}
                return (_thought(index, text_of(block["thinking"]), **signed),)
            case "redacted_thinking":
                return (_thought(index, data=text_of(block["data"])),)
            case "tool_use":
                self._call_ids[index] = block["id"]
                called = self.tool_called(block["id"], block["name"])
                if not block.get("input"):
                    return (called,)
                piece = orjson.dumps(block["input"]).decode()
                return (called, self.tool_arguments(block["id"], piece))
        return NOTHING

    def _about(self, message: dict[str, Any]) -> None:
        self.model, self.answer_id = message.get("model"), message.get("id")
        self._count(message.get("usage") or {})

    def _stop(self, said: dict[str, Any]) -> None:
        if reason := said.get("stop_reason"):
            self._stop_reason = text_of(reason)
        if self._stop_reason == "refusal":
            details = said.get("stop_details") or {}
            words = [str(details[key]) for key in ("category", "explanation") if details.get(key)]
            self.refused.append(": ".join(words) or "its safety classifiers")

    def _count(self, usage: dict[str, Any]) -> None:
        """Counts are cumulative: the last ones hold."""
        for name, value in usage.items():
            if name == "input_tokens":
                self.input_tokens = value
            elif name == "output_tokens":
                self.output_tokens = value
            elif kept := nonzero({name: value}):
                self.details |= kept


def _thought(index: int, text: str = "", **kept: str) -> StreamEvent:
    """A piece of the thoughts of a block, or what Anthropic wants back with them (`kept`)."""
    return StreamEvent(
        type="reasoning",
        chunk=text,
        # Each block has a signature of its own; llm would make one part of two that follow.
        part_index=index + 1,
        provider_metadata={"anthropic": kept} if kept else None,
    )
