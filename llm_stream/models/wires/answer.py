"""What a provider's answer adds up to, event by event: the part all wires share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import llm
from llm.parts import StreamEvent

from llm_stream.errors import ContentRefused, UpstreamFailed
from llm_stream.models.pieces import arguments_of

Said = Sequence[StreamEvent | str]
"""What an event of a provider says, in order; a `str` is a piece of the answer's text."""

NOTHING: Final[tuple[StreamEvent, ...]] = ()


class Answer(ABC):
    """Reads one answer. Each wire has its own; it knows the provider's format and nothing else.

    Attributes:
        finish_reason: the provider's own word for why it ended. Only with it an answer is whole.
        closed: nothing of interest can follow.
        ends: whether the finish reason is the end; if not, the body has to end properly as well.
        model: the version that answered, where the provider says.
        answer_id: the provider's id of the answer.
        input_tokens: as counted by the provider; None where it did not count.
        output_tokens: the same.
        details: of these counts, as the provider gives them.
    """

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id
        self.finish_reason: str | None = None
        self.closed = False
        self.ends = True
        self.model: str | None = None
        self.answer_id: str | None = None
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.details: dict[str, Any] = {}
        self.refused: list[str] = []
        self.calls: dict[str, list[str]] = {}

    def take(self, event: Any) -> Said:
        """What one event of the stream says; a whole answer, where a wire has no other events.

        Raises:
            StreamError: it is an error.
            LookupError, TypeError, ValueError, AttributeError: it is not in the provider's
                format.
        """
        return self.take_whole(event)

    @abstractmethod
    def take_whole(self, body: Any) -> Said:
        """What an answer in one piece says; raises as `take`."""

    def tool_called(self, call_id: object, name: object, kept: Any = None) -> StreamEvent:
        """A call of a tool begins; `kept` is sent back with it, see `turns.kept_for`.

        Raises:
            TypeError: id or name is no text.
        """
        known_by, tool = text_of(call_id), text_of(name)
        self.calls[known_by] = [tool]
        return StreamEvent(
            type="tool_call_name", chunk=tool, tool_call_id=known_by, provider_metadata=kept
        )

    def tool_arguments(self, call_id: str, piece: str) -> StreamEvent:
        """A piece of the JSON of a call's arguments."""
        self.calls[call_id].append(piece)
        return StreamEvent(type="tool_call_args", chunk=piece, tool_call_id=call_id)

    def refusal(self) -> str | None:
        """Why the content was refused, None if it was not."""
        return "".join(self.refused) or None

    def conclude(self, response: Any) -> None:
        """Hand over to llm's response what only the end tells.

        Raises:
            UpstreamFailed: the provider did not say why it ended: the answer was cut.
            ContentRefused: its content policy ended it.
            InvalidOutput: a tool was called with what is no JSON object.
        """
        why = self.refusal()
        if why is not None:
            raise ContentRefused(f"{self.model_id}: the provider refused: {why[:200]}")
        if self.finish_reason is None:
            raise UpstreamFailed(
                f"{self.model_id}: the answer broke off without its provider's end mark. Try again."
            )
        response.response_json = {"finish_reason": self.finish_reason}
        if self.answer_id is not None:
            response.response_json["id"] = self.answer_id
        if self.model is not None:
            response.response_json["model"] = self.model
            response.set_resolved_model(self.model)
        if self.input_tokens is not None or self.output_tokens is not None:
            response.set_usage(
                input=self.input_tokens, output=self.output_tokens, details=self.details or None
            )
        for call_id, (name, *pieces) in self.calls.items():
            arguments = arguments_of(name, "".join(pieces), self.finish_reason)
            response.add_tool_call(
                llm.ToolCall(name=name, arguments=arguments, tool_call_id=call_id)
            )


def text_of(chunk: object) -> str:
    """A piece of text, checked: what is no text would surface as a fault far from here.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(chunk, str):
        raise TypeError
    return chunk


def nonzero(counts: object) -> dict[str, Any]:
    """Details of a count without the zeros and nulls that say nothing, in depth."""
    found: dict[str, Any] = {}
    for name, value in counts.items() if isinstance(counts, dict) else ():
        kept = nonzero(value) if isinstance(value, dict) else value
        if kept:
            found[name] = kept
    return found
