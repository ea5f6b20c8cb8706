"""The events of one run as the events of a response, numbered so that a reader can resume."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from llm_stream.engine.run import Run
from llm_stream.events import Event, decoded, kind_of
from llm_stream.web.openaidoor.chatreplies import BEAT
from llm_stream.web.openaidoor.failures import LOST, begun_anew, cancelled, failure_of
from llm_stream.web.openaidoor.replies import arguments_of
from llm_stream.web.openaidoor.responsesreplies import (
    call_item,
    message_item,
    reasoning_item,
    response,
    text_part,
)
from llm_stream.web.streaming import Framing

Said = Iterator[dict[str, Any]]

ENDINGS: Final = {"completed": "response.completed", "incomplete": "response.incomplete"}


class ResponseStream:
    """Says a run from its first event on; the same run is always said by the same numbers.

    A run that fails is said by `response.failed` and by an `error` that makes the SDKs raise, and
    then nothing.

    Args:
        run: what is read.
        told: what it tells of its request (`told_of`).
        after: the number of the last event that the reader has; -1: none.
    """

    def __init__(self, run: Run, told: dict[str, Any], after: int = -1) -> None:
        self._info = run.info
        self._told = told
        self._model = run.info.model
        self._after = after
        self._number = -1
        self._output: list[dict[str, Any]] = []
        self._kind = ""
        self._text: list[str] = []
        self._over = False
        self.framing = Framing(self.events, self.notice)

    def events(self, events: Sequence[Event]) -> bytes:
        """Several events for one write."""
        return b"".join([self._line(said) for event in events for said in self._said(event)])

    def notice(self, name: str, _data: Mapping[str, object]) -> bytes:
        """A comment for what is about the stream; an error for a hole in it."""
        if name != "gap":
            return BEAT
        return b"".join([self._line(said) for said in self._fail(LOST)])

    def _line(self, said: dict[str, Any]) -> bytes:
        self._number += 1
        if self._number <= self._after:
            return b""
        data = orjson.dumps({**said, "sequence_number": self._number})
        return b"event: %b\ndata: %b\n\n" % (said["type"].encode(), data)

    def _said(self, event: Event) -> Said:
        if self._over:
            return
        match kind_of(event):
            case "run.started":
                begun = self._response(None, [])
                yield {"type": "response.created", "response": begun}
                yield {"type": "response.in_progress", "response": begun}
            case "text.delta":
                yield from self._piece("message", decoded(event)["text"])
            case "reasoning.delta":
                yield from self._piece("reasoning", decoded(event)["text"])
            case "tool.called":
                yield from self._called(decoded(event))
            case "attempt.failed":
                following = decoded(event)["next"]
                self._model = self._model if following is None else following["model"]
            case "run.restarted" if self._kind or self._output:
                yield from self._fail(begun_anew(decoded(event)["reason"]))
            case "run.completed":
                yield from self._end(decoded(event))
            case "run.failed":
                terminal = decoded(event)
                yield from self._fail(failure_of(terminal["error"]), terminal)
            case "run.cancelled":
                terminal = decoded(event)
                yield from self._fail(cancelled(terminal["reason"]), terminal)

    def _piece(self, kind: str, text: str) -> Said:
        if kind != self._kind:
            yield from self._close()
            yield from self._open(kind)
        self._text.append(text)
        name = "response.output_text.delta"
        more: dict[str, Any] = {"logprobs": []}
        if kind == "reasoning":
            name, more = "response.reasoning_summary_text.delta", {}
        yield {"type": name, **self._place(), "delta": text, **more}

    def _item(self, text: str | None, status: str) -> dict[str, Any]:
        number = len(self._output)
        if self._kind == "reasoning":
            return reasoning_item(self._info.id, text, number)
        return message_item(self._info.id, text, status, number)

    def _part(self, text: str) -> dict[str, Any]:
        reasoning = self._kind == "reasoning"
        return {"type": "summary_text", "text": text} if reasoning else text_part(text)

    def _place(self) -> dict[str, Any]:
        index = "summary_index" if self._kind == "reasoning" else "content_index"
        item = self._item(None, "in_progress")["id"]
        return {"item_id": item, "output_index": len(self._output), index: 0}

    def _names(self) -> tuple[str, str]:
        if self._kind == "reasoning":
            return "response.reasoning_summary_text", "response.reasoning_summary_part"
        return "response.output_text", "response.content_part"

    def _open(self, kind: str) -> Said:
        self._kind = kind
        yield self._moved("added", self._item(None, "in_progress"))
        _, part = self._names()
        yield {"type": f"{part}.added", **self._place(), "part": self._part("")}

    def _close(self) -> Said:
        if not self._kind:
            return
        text = "".join(self._text)
        whole, part = self._names()
        more: dict[str, Any] = {} if self._kind == "reasoning" else {"logprobs": []}
        yield {"type": f"{whole}.done", **self._place(), "text": text, **more}
        yield {"type": f"{part}.done", **self._place(), "part": self._part(text)}
        item = self._item(text, "completed")
        yield self._moved("done", item)
        self._output.append(item)
        self._kind = ""
        self._text.clear()

    def _called(self, call: dict[str, Any]) -> Said:
        yield from self._close()
        number = len(self._output)
        item = call_item(self._info.id, call, number)
        place = {"item_id": item["id"], "output_index": number}
        arguments = arguments_of(call)
        yield self._moved("added", item | {"status": "in_progress", "arguments": ""})
        name = "response.function_call_arguments"
        yield {"type": f"{name}.delta", **place, "delta": arguments}
        yield {"type": f"{name}.done", **place, "name": call["name"], "arguments": arguments}
        yield self._moved("done", item)
        self._output.append(item)

    def _moved(self, word: str, item: dict[str, Any]) -> dict[str, Any]:
        place = len(self._output)
        return {"type": f"response.output_item.{word}", "output_index": place, "item": item}

    def _response(
        self, terminal: dict[str, Any] | None, output: list[dict[str, Any]]
    ) -> dict[str, Any]:
        return response(self._info, self._model, terminal, output) | self._told

    def _end(self, terminal: dict[str, Any]) -> Said:
        if not self._kind and not self._output:
            yield from self._open("message")
        yield from self._close()
        self._over = True
        whole = self._response(terminal, self._output)
        yield {"type": ENDINGS[whole["status"]], "response": whole}

    def _fail(self, error: dict[str, Any], terminal: dict[str, Any] | None = None) -> Said:
        if self._over:
            return
        self._over = True
        failed = self._response(terminal, self._output) | {
            "status": "failed",
            "error": {"code": error["code"], "message": error["message"]},
        }
        yield {"type": "response.failed", "response": failed}
        told = {name: error[name] for name in ("code", "message", "param")}
        yield {"type": "error", **told, "error": error}
