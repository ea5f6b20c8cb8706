"""A run as a chat completion: whole, or chunk by chunk."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from llm_stream.engine.fold import Fold
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import RunInfo
from llm_stream.events import Event, decoded, kind_of
from llm_stream.web.openaidoor.failures import LOST, begun_anew, cancelled, failure_of
from llm_stream.web.openaidoor.replies import (
    arguments_of,
    counts,
    finish_reason,
    kept_of,
    text_of,
)
from llm_stream.web.streaming import Framing
from llm_stream.web.views import answering_model

BEAT: Final = b": heartbeat\n\n"
DONE: Final = b"data: [DONE]\n\n"


def completion_id(run: str) -> str:
    """The id of the completion that a run is."""
    return "chatcmpl-" + run.removeprefix("run_")


def usage_of(terminal: dict[str, Any] | None) -> dict[str, int] | None:
    """The counts under OpenAI's names; None where the model did not say."""
    counted = counts(terminal)
    if counted is None:
        return None
    asked, said = counted
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def completion(info: RunInfo, fold: Fold) -> dict[str, Any]:
    """The `chat.completion` of a run that has completed."""
    calls = [_tool_call(call) for call in fold.tool_calls]
    text = text_of(fold, structured=info.structured)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if calls and not text else text,
        "refusal": None,
    }
    if fold.reasoning:
        message["reasoning_content"] = "".join(fold.reasoning)
    if calls:
        message["tool_calls"] = calls
    return {
        "id": completion_id(info.id),
        "object": "chat.completion",
        "created": int(info.created_at),
        "model": answering_model(info, fold),
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "tool_calls" if calls else finish_reason(fold.terminal),
            }
        ],
        "usage": usage_of(fold.terminal),
    }


class ChatStream:
    """Says the events of one run as `chat.completion.chunk`s, from the first one on.

    A run that fails is said by `{"error": ...}`, and then nothing: no finish reason, no `[DONE]`,
    so that the SDKs raise and nobody takes it for whole.

    Args:
        run: what is read.
        include_usage: whether a last chunk has the counts.
    """

    def __init__(self, run: Run, *, include_usage: bool) -> None:
        self._id = completion_id(run.id)
        self._created = int(run.info.created_at)
        self._model = run.info.model
        self._include_usage = include_usage
        self._begun = False
        self._over = False
        self._calls = 0
        self.framing = Framing(self.events, self.notice)

    def events(self, events: Sequence[Event]) -> bytes:
        """Several events for one write."""
        return b"".join([said for event in events for said in self._said(event)])

    def notice(self, name: str, _data: Mapping[str, object]) -> bytes:
        """A comment for what is about the stream; an error for a hole in it."""
        return b"".join(self._fail(LOST)) if name == "gap" else BEAT

    def _said(self, event: Event) -> Iterator[bytes]:
        if self._over:
            return
        match kind_of(event):
            case "text.delta":
                yield from self._delta({"content": decoded(event)["text"]})
            case "reasoning.delta":
                yield from self._delta({"reasoning_content": decoded(event)["text"]})
            case "tool.called":
                call = {"index": self._calls, **_tool_call(decoded(event))}
                self._calls += 1
                yield from self._delta({"tool_calls": [call]})
            case "attempt.failed":
                following = decoded(event)["next"]
                self._model = self._model if following is None else following["model"]
            case "run.restarted" if self._begun:
                yield from self._fail(begun_anew(decoded(event)["reason"]))
            case "run.completed":
                yield from self._end(decoded(event))
            case "run.failed":
                yield from self._fail(failure_of(decoded(event)["error"]))
            case "run.cancelled":
                yield from self._fail(cancelled(decoded(event)["reason"]))

    def _delta(self, delta: dict[str, Any]) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        yield self._chunk(delta)

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._line({"choices": [choice]} | ({"usage": None} if self._include_usage else {}))

    def _line(self, said: dict[str, Any]) -> bytes:
        return b"data: %b\n\n" % orjson.dumps(
            {
                "id": self._id,
                "object": "chat.completion.chunk",
                "created": self._created,
                "model": self._model,
                **said,
            }
        )

    def _end(self, terminal: dict[str, Any]) -> Iterator[bytes]:
        if not self._begun:
            yield from self._delta({"content": ""})
        self._over = True
        yield self._chunk({}, "tool_calls" if self._calls else finish_reason(terminal))
        if self._include_usage:
            yield self._line({"choices": [], "usage": usage_of(terminal)})
        yield DONE

    def _fail(self, error: dict[str, Any]) -> Iterator[bytes]:
        if not self._over:
            self._over = True
            yield b"data: %b\n\n" % orjson.dumps({"error": error})


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": call["tool_call_id"],
        "type": "function",
        "function": {"name": call["name"], "arguments": arguments_of(call)},
        **kept_of(call),
    }
