"""Reads what OpenAI's Responses answer.

Source: OpenAI's API reference, "The response object" and "Streaming events".
"""

from typing import Any, Final

from llm.parts import StreamEvent

from llm_stream.models.wires.answer import NOTHING, Answer, Said, nonzero, text_of
from llm_stream.models.wires.refusals import error_event

ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponsesAnswer(Answer):
    """Reads the events of a response."""

    def __init__(self, model_id: str) -> None:
        super().__init__(model_id)
        self._call_ids: dict[int, str] = {}
        self._spoke = False

    def take(self, event: Any) -> Said:
        """One event; those that only repeat what others have said are passed over."""
        kind = event["type"]
        if kind == "response.output_text.delta":
            self._spoke = True
            return (text_of(event["delta"]),)
        if kind == "error":
            raise error_event(event.get("error") or event, self.model_id)
        if kind in ENDS:
            return self.take_whole(event["response"])
        return self._passing(kind, event)

    def _passing(self, kind: str, event: dict[str, Any]) -> Said:
        match kind:
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return (StreamEvent(type="reasoning", chunk=text_of(event["delta"])),)
            case "response.reasoning_summary_part.added" if event.get("summary_index"):
                return (StreamEvent(type="reasoning", chunk="\n\n"),)
            case "response.function_call_arguments.delta":
                call_id = self._call_ids[event["output_index"]]
                return (self.tool_arguments(call_id, text_of(event["delta"])),)
            case "response.output_item.added" if event["item"]["type"] == "function_call":
                self._spoke = True
                item = event["item"]
                self._call_ids[event["output_index"]] = item["call_id"]
                return (self.tool_called(item["call_id"], item["name"]),)
            case "response.refusal.delta":
                self.refused.append(text_of(event["delta"]))
        return NOTHING

    def take_whole(self, body: Any) -> Said:
        """A response object: the last event of a stream, or the answer in one piece."""
        status = body.get("status")
        if status not in {"completed", "incomplete"}:
            raise error_event(body.get("error") or {"message": f"status {status}"}, self.model_id)
        found = () if self._spoke else [e for item in body["output"] for e in self._item(item)]
        self.finish_reason = "tool_calls" if self.calls else "stop"
        if status == "incomplete":
            reason = (body.get("incomplete_details") or {}).get("reason") or "incomplete"
            self.finish_reason = "length" if reason == "max_output_tokens" else text_of(reason)
            if reason == "content_filter":
                self.refused.append("content filter")
        self.model, self.answer_id = body.get("model"), body.get("id")
        if usage := body.get("usage"):
            self.input_tokens = usage.get("input_tokens")
            self.output_tokens = usage.get("output_tokens")
            names = ("input_tokens_details", "output_tokens_details")
            self.details = nonzero({name: usage.get(name) for name in names})
        self.closed = True
        return found

    def _item(self, item: dict[str, Any]) -> Said:
        """What an item of the output says where no event has said it."""
        if item["type"] == "function_call":
            name = self.tool_called(item["call_id"], item["name"])
            return [name, self.tool_arguments(item["call_id"], text_of(item["arguments"]))]
        if item["type"] == "reasoning":
            said = "\n\n".join(text_of(part["text"]) for part in item.get("summary") or ())
            return [StreamEvent(type="reasoning", chunk=said)] if said else []
        found: list[StreamEvent | str] = []
        for part in item["content"] if item["type"] == "message" else ():
            if part["type"] == "refusal":
                self.refused.append(text_of(part["refusal"]))
            elif part["type"] == "output_text":
                found.append(text_of(part["text"]))
        return found
