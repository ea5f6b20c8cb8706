"""What has come of one question to a model, over all the calls it took."""

from typing import Any

from llm_stream.errors import InvalidOutput
from llm_stream.models.chunks import CUT_OFF, Calling, Finish
from llm_stream.models.toolset import ToolCall, Toolset
from llm_stream.recipes.incremental import whole_json
from llm_stream.recipes.schemas import hold_against
from llm_stream.recipes.splice import Splice


class Answer:
    """An answer while it is made, and when it is whole.

    Args:
        keep_text: whether anybody will need the text: a check, or another call to continue it.
        tools: what the model may call.

    Attributes:
        text: pieces of the text that readers have, if it is kept.
        finish: the model's last chunk, None before it.
        visible: whether readers have anything of it.
        calls: calls of tools, which readers get when all of the answer is whole.
        splice: what the call being made has to repeat first; None for the first call.
    """

    __slots__ = ("_strict", "calls", "finish", "keep_text", "splice", "text", "visible")

    def __init__(self, *, keep_text: bool, tools: Toolset | None = None) -> None:
        self._strict = {t.name: t.parameters for t in (tools.tools if tools else ()) if t.strict}
        self.keep_text = keep_text
        self.text: list[str] = []
        self.finish: Finish | None = None
        self.visible = False
        self.calls: list[ToolCall] = []
        self.splice: Splice | None = None

    def begin_anew(self) -> None:
        """Readers were told to discard what they have."""
        self.text.clear()
        self.visible = False
        self.splice = None

    def continue_after_text(self) -> None:
        """Another call is to repeat what readers have, and to go on from there."""
        self.text[:] = ["".join(self.text)]
        self.splice = Splice(self.text[0])

    def take(self, chunk: Calling | ToolCall | Finish) -> None:
        """What readers do not get as it comes: calls may be acted on, so they wait for the end.

        Raises:
            InvalidOutput: the arguments do not meet the schema of a strict tool (the model's
                doing).
        """
        if isinstance(chunk, Finish):
            self.finish = chunk
        elif isinstance(chunk, ToolCall):
            self._check(chunk)
            self.calls.append(chunk)

    def _check(self, call: ToolCall) -> None:
        if (schema := self._strict.get(call.name)) is not None:
            try:
                hold_against(schema, call.arguments)
            except InvalidOutput as error:
                raise InvalidOutput(f"Call of {call.name!r}: {error.detail}") from error

    @property
    def ending(self) -> Finish:
        """The last chunk.

        Raises:
            InvalidOutput: there was none (the model's doing).
        """
        if self.finish is None:
            raise InvalidOutput("The model ended without saying that it is done.")
        return self.finish

    @property
    def repairable(self) -> bool:
        """Whether asking again can help: not if the answer ran out of tokens."""
        return self.ending.finish_reason not in CUT_OFF

    def checked(self, schema: Any) -> Any:
        """The decoded answer, held against the schema.

        Raises:
            InvalidOutput: it is not JSON, or does not meet the schema (the model's doing).
        """
        try:
            value = whole_json("".join(self.text))
        except InvalidOutput as error:
            if not self.repairable:
                raise InvalidOutput(
                    f"{error.detail} It was cut off; raise max_tokens.",
                ) from error
            raise
        hold_against(schema, value)
        return value
