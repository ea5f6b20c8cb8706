"""OpenAI's Responses.

Source: OpenAI's API reference, "Create a model response". Answers are not stored at the provider.
"""

from collections.abc import AsyncGenerator
from typing import Any, ClassVar, Final

import llm
import orjson
from llm.parts import StreamEvent

from llm_stream.errors import InvalidOption
from llm_stream.models.wires.answer import Answer
from llm_stream.models.wires.credentials import bearer
from llm_stream.models.wires.model import WireModel
from llm_stream.models.wires.openaichat import ChatModel
from llm_stream.models.wires.options import given
from llm_stream.models.wires.responsesanswer import ResponsesAnswer
from llm_stream.models.wires.turns import (
    Turn,
    base64_of,
    function_tools,
    is_strict,
    split,
    turns_of,
    type_of,
    use_of,
)

NOT_THERE: Final = ("seed", "stop", "frequency_penalty", "presence_penalty", "logit_bias")
"""Options of chat completions that Responses do not have, though llm's class lists them."""

MAX_EVENT_BYTES: Final = 8_388_608
"""Its first and last events repeat instructions and answer as a whole."""


class ResponsesModel(WireModel):
    """A model behind `/responses`; its option `chat_completions` sends it to the other one.

    Args:
        *args: see `WireModel`.
        reasons: whether it can think, so that summaries of its thoughts are asked for.
        **more: see `WireModel`.
    """

    max_line_bytes: ClassVar[int] = MAX_EVENT_BYTES

    def __init__(self, *args: Any, reasons: bool = True, **more: Any) -> None:
        super().__init__(*args, **more)
        self._reasons = reasons
        self._chat = ChatModel(*args, **more)

    def path(self, *, stream: bool) -> str:
        """The same for all models."""
        return "/responses"

    def headers(self, key: str | None, body: dict[str, Any]) -> dict[str, str]:
        """A bearer token, none without a key."""
        return bearer(key)

    def answer(self, prompt: llm.Prompt) -> Answer:
        """See `WireModel`."""
        return ResponsesAnswer(self.model_id)

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,  # noqa: FBT001 - llm's signature
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None = None,
        key: str | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """See `WireModel`."""
        chat = getattr(prompt.options, "chat_completions", None)
        execute = self._chat.execute if chat else super().execute
        events = execute(prompt, stream, response, conversation, key)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    def request(self, prompt: llm.Prompt, *, stream: bool) -> dict[str, Any]:
        """See `WireModel`.

        Raises:
            InvalidOption: an option that only chat completions have (caller's doing).
        """
        options = given(prompt.options)
        if options.get("chat_completions"):
            return self._chat.request(prompt, stream=stream)
        for name in NOT_THERE:
            if name in options:
                raise InvalidOption(
                    f"{self.model_id} has no {name} behind Responses; set chat_completions to true"
                    " as well, or leave it out.",
                    field=f"options.{name}",
                )
        system, turns = split(turns_of(prompt))
        detail = options.get("image_detail")
        body: dict[str, Any] = {
            "model": self.upstream_name,
            "input": [item for turn in turns for item in self._items(turn, detail)],
            "stream": stream,
            "store": False,
        }
        if system:
            body["instructions"] = system
        for name in ("temperature", "top_p", "service_tier"):
            if name in options:
                body[name] = options[name]
        if "max_tokens" in options:
            body["max_output_tokens"] = options["max_tokens"]
        if reasoning := self._reasoning(options):
            body["reasoning"] = reasoning
        if text := _text(prompt, options):
            body["text"] = text
        if prompt.tools:
            body |= self._tools(prompt)
        return body

    def _tools(self, prompt: llm.Prompt) -> dict[str, Any]:
        use = use_of(prompt)
        found: dict[str, Any] = {
            "tools": [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description or "",
                    "parameters": tool.input_schema,
                    # Said in any case: here tools are strict unless it is denied.
                    "strict": is_strict(tool),
                }
                for tool in function_tools(prompt, self.model_id)
            ]
        }
        if use.named:
            found["tool_choice"] = {"type": "function", "name": use.named}
        elif use.choice != "auto":
            found["tool_choice"] = use.choice
        return found if use.parallel else found | {"parallel_tool_calls": False}

    def _reasoning(self, options: dict[str, Any]) -> dict[str, Any]:
        if not self._reasons:
            return {}
        found = {"summary": options.get("reasoning_summary", "auto")}
        if "reasoning_effort" in options:
            found["effort"] = options["reasoning_effort"]
        return found

    def _items(self, turn: Turn, detail: str | None) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = [
            {
                "type": "function_call_output",
                "call_id": result.tool_call_id,
                "output": result.output,
            }
            for result in turn.results
        ]
        content: Any = turn.text
        if turn.attachments:
            content = [{"type": "input_text", "text": turn.text}] if turn.texts else []
            content += [self._attachment(each, detail) for each in turn.attachments]
        if content:
            items.append({"role": turn.role, "content": content})
        items += [
            {
                "type": "function_call",
                "call_id": call.tool_call_id,
                "name": call.name,
                "arguments": orjson.dumps(call.arguments).decode(),
            }
            for call in turn.calls
        ]
        return items

    def _attachment(self, attachment: llm.Attachment, detail: str | None) -> dict[str, Any]:
        kind = type_of(attachment)
        url = f"data:{kind};base64,{base64_of(attachment, self.model_id)}"
        if kind.startswith("image/"):
            return {"type": "input_image", "image_url": url, "detail": detail or "auto"}
        return {"type": "input_file", "filename": "attachment.pdf", "file_data": url}


def _text(prompt: llm.Prompt, options: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "verbosity" in options:
        found["verbosity"] = options["verbosity"]
    if options.get("json_object"):
        found["format"] = {"type": "json_object"}
    if prompt.schema:
        # Not strict: that would refuse schemas with optional fields.
        schema = {"name": "output", "schema": prompt.schema, "strict": False}
        found["format"] = {"type": "json_schema", **schema}
    return found
