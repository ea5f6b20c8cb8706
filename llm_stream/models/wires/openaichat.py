"""OpenAI's chat completions, and every server that speaks them (Ollama, vLLM, LiteLLM, ...).

Source: OpenAI's API reference, "Create chat completion", streamed and not. `reasoning_content`
and `reasoning` are what compatible servers send beside it; Mistral's models that think say their
content in parts.
"""

from collections.abc import Iterator
from typing import Any, Final

import llm
import orjson
from llm.parts import StreamEvent

from llm_stream.errors import UpstreamFailed
from llm_stream.models.wires.answer import NOTHING, Answer, Said, nonzero, text_of
from llm_stream.models.wires.credentials import bearer
from llm_stream.models.wires.model import WireModel
from llm_stream.models.wires.refusals import error_event
from llm_stream.models.wires.turns import (
    Turn,
    base64_of,
    function_tools,
    is_strict,
    turns_of,
    type_of,
    use_of,
)

OURS: Final = ("json_object", "image_detail", "chat_completions", "reasoning_summary")
"""Options that are no fields of the request."""

AUDIO_FORMATS: Final = {"audio/wav": "wav", "audio/mpeg": "mp3"}


class ChatAnswer(Answer):
    """Reads `chat.completion.chunk` objects."""

    def __init__(self, model_id: str) -> None:
        super().__init__(model_id)
        self._call_ids: dict[int, str] = {}

    def take(self, event: Any) -> Said:
        """One chunk. The counts come in one of their own after the finish reason."""
        if event.get("error"):
            raise error_event(event["error"], self.model_id)
        found: Said = NOTHING
        if choices := event.get("choices"):
            choice = choices[0]
            if delta := choice.get("delta"):
                found = self._delta(delta)
            if reason := choice.get("finish_reason"):
                self._finish(event, reason)
        if usage := event.get("usage"):
            self._count(usage)
            self.closed = self.finish_reason is not None
        return found

    def take_whole(self, body: Any) -> Said:
        """A `chat.completion`: one chunk that says everything."""
        if body.get("error"):
            raise error_event(body["error"], self.model_id)
        (choice, *_) = body["choices"]
        message = choice["message"]
        calls = [{**call, "index": n} for n, call in enumerate(message.get("tool_calls") or ())]
        return self.take(
            {**body, "choices": [{**choice, "delta": {**message, "tool_calls": calls}}]}
        )

    def _delta(self, delta: dict[str, Any]) -> Said:
        text = delta.get("content")
        if len(delta) == 1 and isinstance(text, str):  # as nearly all are
            return (text,)
        found: list[StreamEvent | str] = []
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            found.append(StreamEvent(type="reasoning", chunk=text_of(thought)))
        if text:
            if isinstance(text, str):
                found.append(text)
            else:
                found += _parts(text)
        if refused := delta.get("refusal"):
            self.refused.append(text_of(refused))
        for call in delta.get("tool_calls") or ():
            # Some servers do not count: a name with another id begins another call.
            index, call_id = call.get("index") or 0, call.get("id")
            function = call["function"]
            name = function.get("name") or ""
            known = self._call_ids.get(index)
            if known is None or (name and call_id and call_id != known):
                self._call_ids[index] = call_id or f"call_{index}"
                found.append(self.tool_called(self._call_ids[index], name))
            if arguments := function.get("arguments"):
                found.append(self.tool_arguments(self._call_ids[index], text_of(arguments)))
        return found

    def _finish(self, event: dict[str, Any], reason: Any) -> None:
        if reason == "error":
            raise UpstreamFailed(f"{self.model_id}: the provider ended with an error")
        if reason == "content_filter":
            self.refused.append("content filter")
        self.finish_reason = text_of(reason)
        self.model = event.get("model")
        self.answer_id = event.get("id")

    def _count(self, usage: dict[str, Any]) -> None:
        self.input_tokens = usage.get("prompt_tokens")
        self.output_tokens = usage.get("completion_tokens")
        names = ("prompt_tokens_details", "completion_tokens_details")
        self.details = nonzero({name: usage.get(name) for name in names})


def _parts(content: Any) -> Iterator[StreamEvent | str]:
    """Text and thoughts; of other parts a reader has nothing."""
    for part in content:
        if part["type"] == "text":
            yield text_of(part["text"])
        elif part["type"] == "thinking":
            thought = "".join(text_of(each.get("text", "")) for each in part["thinking"])
            yield StreamEvent(type="reasoning", chunk=thought)


class ChatModel(WireModel):
    """A model behind `/chat/completions`."""

    def path(self, *, stream: bool) -> str:
        """The same for all models."""
        return "/chat/completions"

    def headers(self, key: str | None, body: dict[str, Any]) -> dict[str, str]:
        """A bearer token, none without a key."""
        return bearer(key)

    def answer(self, prompt: llm.Prompt) -> Answer:
        """See `WireModel`."""
        return ChatAnswer(self.model_id)

    def request(self, prompt: llm.Prompt, *, stream: bool) -> dict[str, Any]:
        """See `WireModel`; options are fields of the request under their own names."""
        options = prompt.options.model_dump(mode="json", exclude_none=True)
        detail = options.get("image_detail")
        body: dict[str, Any] = {
            "model": self.upstream_name,
            "messages": [m for turn in turns_of(prompt) for m in self._messages(turn, detail)],
            "stream": stream,
            **{name: value for name, value in options.items() if name not in OURS},
        }
        if stream:
            body["stream_options"] = {"include_usage": True}
        if options.get("json_object"):
            body["response_format"] = {"type": "json_object"}
        if prompt.schema:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "output", "schema": prompt.schema},
            }
        if prompt.tools:
            body |= self._tools(prompt)
        return body

    def _tools(self, prompt: llm.Prompt) -> dict[str, Any]:
        use = use_of(prompt)
        found: dict[str, Any] = {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description or "",
                        "parameters": tool.input_schema,
                        **({"strict": True} if is_strict(tool) else {}),
                    },
                }
                for tool in function_tools(prompt, self.model_id)
            ]
        }
        if use.named:
            found["tool_choice"] = {"type": "function", "function": {"name": use.named}}
        elif use.choice != "auto":
            found["tool_choice"] = use.choice
        return found if use.parallel else found | {"parallel_tool_calls": False}

    def _messages(self, turn: Turn, detail: str | None) -> list[dict[str, Any]]:
        if turn.role == "tool":
            return [
                {"role": "tool", "tool_call_id": result.tool_call_id, "content": result.output}
                for result in turn.results
            ]
        content: Any = turn.text
        if turn.attachments:
            content = [{"type": "text", "text": turn.text}] if turn.texts else []
            content += [self._attachment(each, detail) for each in turn.attachments]
        message: dict[str, Any] = {"role": turn.role, "content": content}
        if turn.calls:
            message["content"] = content or None
            message["tool_calls"] = [
                {
                    "type": "function",
                    "id": call.tool_call_id,
                    "function": {
                        "name": call.name,
                        "arguments": orjson.dumps(call.arguments).decode(),
                    },
                }
                for call in turn.calls
            ]
        return [message] if content or turn.calls or turn.role == "assistant" else []

    def _attachment(self, attachment: llm.Attachment, detail: str | None) -> dict[str, Any]:
        kind, data = type_of(attachment), base64_of(attachment, self.model_id)
        if kind in AUDIO_FORMATS:
            audio = {"data": data, "format": AUDIO_FORMATS[kind]}
            return {"type": "input_audio", "input_audio": audio}
        url = f"data:{kind};base64,{data}"
        if kind.startswith("image/"):
            image = {"url": url, "detail": detail} if detail else {"url": url}
            return {"type": "image_url", "image_url": image}
        return {"type": "file", "file": {"filename": "attachment.pdf", "file_data": url}}
