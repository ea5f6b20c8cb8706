"""What the embedded model is asked, and what its chunks mean to `llm`.

llama.cpp speaks OpenAI's shapes. No threads, no loop; `models/local` is the only caller.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import llm
from llm.parts import AttachmentPart, StreamEvent, TextPart
from pydantic import Field

from llm_stream.errors import (
    ContextTooLong,
    ModelUnavailable,
    StreamError,
    UnsupportedByModel,
    UpstreamFailed,
    UpstreamRejected,
)
from llm_stream.models.faults import from_model, scrub
from llm_stream.models.localengine import Answer

DEFAULT_MAX_TOKENS: Final = 512
"""A model of this size does not always find an end."""

StopText = Annotated[str, Field(min_length=1)]


class LocalOptions(llm.Options):
    """Options of one answer; the defaults keep a small model to the point."""

    max_tokens: int | None = Field(
        default=None, ge=1, description=f"Longest answer in tokens; {DEFAULT_MAX_TOKENS} if unset."
    )
    temperature: float | None = Field(
        default=None,
        ge=0,
        le=2,
        allow_inf_nan=False,
        description="0 = always the likeliest token; 0.2 if unset.",
    )
    top_p: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Choose among the likeliest tokens of this total probability; 0.9 if unset.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**32 - 1,
        description="Makes an answer repeatable on the same machine under the same load.",
    )
    stop: StopText | Annotated[list[StopText], Field(max_length=4)] | None = Field(
        default=None, description="End before any of these texts: one, or a list of up to 4."
    )


class Reading:
    """Turns the chunks of one answer into text and remembers how it ended."""

    def __init__(self, model_id: str, schema: Any) -> None:
        self._model_id = model_id
        self._has_schema = bool(schema)
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] = {}

    def take(self, chunk: dict[str, Any]) -> Iterator[str | StreamEvent]:
        """Yield the text or reasoning of a `chat.completion.chunk`; often there is none.

        Raises:
            ContextTooLong, UnsupportedByModel: the chunk is an error of the caller's doing.
            UpstreamRejected, UpstreamFailed: it is another error.
        """
        if error := chunk.get("error"):
            raise self._refusal(error)
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices", ()):
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            if thought := choice["delta"].get("reasoning_content"):
                yield StreamEvent(type="reasoning", chunk=thought)
            if text := choice["delta"].get("content"):
                yield text

    def end(self, answer: Answer, response: Any) -> None:
        """Tell the response finish reason and usage, or raise what went wrong.

        Raises:
            ModelUnavailable: it could not be loaded, or was closed meanwhile.
            UnsupportedByModel: the schema cannot be kept to (the caller's doing).
            UpstreamRejected, UpstreamFailed: llama.cpp refused, failed, or just stopped.
        """
        failure = answer.failure()
        if isinstance(failure, ValueError | TypeError):
            # What the library says before it begins, of schemas mostly.
            raise self._refusal({"code": 400, "message": str(failure)}) from failure
        if isinstance(failure, Exception):
            raise from_model(failure, self._model_id) from failure
        if self._finish_reason is None:
            if answer.left:
                raise ModelUnavailable("The embedded model was closed before it had answered.")
            raise UpstreamFailed(f"{self._model_id} stopped in the middle of its answer.")
        response.response_json = {"finish_reason": self._finish_reason}
        if self._usage:
            response.set_usage(
                input=self._usage["prompt_tokens"], output=self._usage["completion_tokens"]
            )

    def _refusal(self, error: dict[str, Any]) -> StreamError:
        if error.get("type") == "exceed_context_size_error":
            return ContextTooLong(
                f"The prompt has {error['n_prompt_tokens']} tokens; {self._model_id} takes "
                f"{error['n_ctx']} for prompt and answer together. Shorten prompt or history."
            )
        text = scrub(str(error.get("message", "no reason given")).rpartition("failed: ")[2])
        if error.get("code") != 400:
            return UpstreamFailed(f"{self._model_id}: {text}")
        if self._has_schema:
            return UnsupportedByModel(
                f"{self._model_id} cannot keep to this schema: {text}", field="schema"
            )
        return UpstreamRejected(f"{self._model_id}: {text}")


def chat_request(prompt: Any, context_tokens: int) -> dict[str, Any]:
    """An OpenAI chat completion for an `llm.Prompt`, with defaults for a small model.

    Raises:
        UnsupportedByModel: the conversation holds attachments or tool results.
    """
    options: LocalOptions = prompt.options
    request = {
        "messages": _messages(prompt),
        "stream": True,
        "stream_options": {"include_usage": True},
        # A chunk for each batch of the prompt: a chance to leave before the first token.
        "return_progress": True,
        "max_tokens": min(options.max_tokens or DEFAULT_MAX_TOKENS, context_tokens),
        "temperature": 0.2 if options.temperature is None else options.temperature,
        "top_p": options.top_p or 0.9,
        # Without it, lists never end; with it, JSON strings would not.
        "repeat_penalty": 1.0 if prompt.schema else 1.1,
        # But a text that turns in a circle is led out of it. A short window: quoting what
        # stands in the prompt is no circle.
        "dry_multiplier": 0.8 if prompt.schema else 0.0,
        "dry_allowed_length": 6,
        "dry_penalty_last_n": 64,
        # A prompt partly read before gives slightly other numbers, so another choice of tokens.
        "cache_prompt": options.seed is None,
    }
    if options.seed is not None:
        request["seed"] = options.seed
    if options.stop:
        request["stop"] = [options.stop] if isinstance(options.stop, str) else options.stop
    if prompt.schema:
        wanted = {"name": "answer", "schema": prompt.schema}
        request["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return request


def _messages(prompt: Any) -> list[dict[str, str]]:
    """The conversation with one system turn at most, first: all that many chat templates take."""
    turns = [(message.role, _text(message)) for message in prompt.messages]
    # A system prompt given beside messages= repeats theirs, or is the only one.
    system = dict.fromkeys(text for role, text in turns if role == "system")
    joined = "\n\n".join(system) or _clean(prompt.system or "")
    spoken = [{"role": role, "content": text} for role, text in turns if role != "system"]
    return [{"role": "system", "content": joined}, *spoken] if joined else spoken


def _text(message: Any) -> str:
    if message.role == "tool" or any(isinstance(part, AttachmentPart) for part in message.parts):
        raise UnsupportedByModel("The embedded model takes text only, no attachments or tools.")
    return _clean("".join(part.text for part in message.parts if isinstance(part, TextPart)))


def _clean(text: str) -> str:
    # Half of a surrogate pair is no text; the library would refuse it.
    return text.encode(errors="replace").decode()
