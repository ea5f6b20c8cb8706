"""Events of llm as chunks."""

from typing import Any

import pytest
from llm.parts import StreamEvent

from llm_stream.errors import InvalidOutput
from llm_stream.models.chunks import Calling, Reasoning
from llm_stream.models.joining import Bundle, Part
from llm_stream.models.pieces import Pieces
from llm_stream.models.toolset import ToolCall

NAME = StreamEvent(type="tool_call_name", chunk="add", tool_call_id="a")


def args(chunk: str, **more: Any) -> StreamEvent:
    """A piece of the arguments of a call."""
    return StreamEvent(type="tool_call_args", chunk=chunk, tool_call_id="a", **more)


def thought(chunk: str, part: int | None, **kept: str) -> StreamEvent:
    """A piece of a thought, and what its provider wants back with it."""
    metadata = {"p": kept} if kept else None
    return StreamEvent(type="reasoning", chunk=chunk, part_index=part, provider_metadata=metadata)


def told(pieces: Pieces, *events: StreamEvent) -> list[Any]:
    """What the events say at once."""
    return [chunk for event in events for chunk in pieces.take(event)]


def test_a_call_is_told_when_it_is_whole() -> None:
    """Its pieces are none of the answer's, and only say that it comes."""
    pieces = Pieces(calls_are_text=False)

    said = told(pieces, NAME, args('{"x":'), args("1}"))
    assert said == [Calling("add"), Calling('{"x":'), Calling("1}")]
    assert [*pieces.calls()] == [ToolCall("a", "add", {"x": 1})]


def test_the_arguments_of_a_forced_tool_are_the_text() -> None:
    """So some models answer a schema."""
    pieces = Pieces(calls_are_text=True)

    assert told(pieces, NAME, args('{"x":1}')) == ['{"x":1}']
    assert [*pieces.calls()] == []


def test_signed_thoughts_are_kept_with_the_first_call() -> None:
    """Those without a signature are told and not kept."""
    pieces = Pieces(calls_are_text=False)
    events = (thought("H", 1), thought("m", 1), thought("", 1, signature="x"), thought("!", 2))

    said = told(pieces, *events, thought("?", None), NAME)

    assert said == [
        Reasoning("H"), Reasoning("m"), Reasoning("!"), Reasoning("?"), Calling("add"),
    ]  # fmt: skip
    kept = [{"text": "Hm", "provider_metadata": {"p": {"signature": "x"}}}]
    assert [*pieces.calls()] == [ToolCall("a", "add", {}, {"thoughts": kept})]


def test_what_is_kept_of_a_call_stays_with_it() -> None:
    """Whichever of its events brings it."""
    pieces = Pieces(calls_are_text=False)
    pieces.take(NAME)
    pieces.take(args("{}", provider_metadata={"p": {"signature": "x"}}))

    assert [*pieces.calls()] == [ToolCall("a", "add", {}, {"p": {"signature": "x"}})]


@pytest.mark.parametrize("text", ["{", "[1]", "null"])
def test_arguments_that_are_no_json_object_are_the_models_fault(text: str) -> None:
    """No caller could use them, or send them back."""
    pieces = Pieces(calls_are_text=False)
    pieces.take(NAME)
    pieces.take(args(text))

    with pytest.raises(InvalidOutput, match="add"):
        list(pieces.calls())


def test_arguments_that_were_cut_off_tell_to_raise_max_tokens() -> None:
    """As a schema's answer that was cut off does."""
    pieces = Pieces(calls_are_text=False)
    pieces.take(NAME)
    pieces.take(args('{"x":'))

    with pytest.raises(InvalidOutput, match="max_tokens"):
        list(pieces.calls("length"))


def test_a_call_without_a_name_is_the_models_fault() -> None:
    """Nobody could answer it."""
    pieces = Pieces(calls_are_text=False)
    pieces.take(args("{}"))

    with pytest.raises(InvalidOutput, match="which"):
        list(pieces.calls())


def test_calls_without_ids_are_told_apart() -> None:
    """llm numbers their parts; each gets an id, to be answered by."""
    pieces = Pieces(calls_are_text=False)
    for part, kind, chunk in ((1, "name", "f"), (1, "args", '{"x":1}'), (2, "name", "g")):
        pieces.take(StreamEvent(type=f"tool_call_{kind}", chunk=chunk, part_index=part))

    assert [*pieces.calls()] == [ToolCall("call_0", "f", {"x": 1}), ToolCall("call_1", "g", {})]


def test_what_its_provider_runs_is_no_call() -> None:
    """Nobody here, and no caller, is asked for it."""
    pieces = Pieces(calls_are_text=False)
    searched = StreamEvent(
        type="tool_call_name", chunk="web_search", tool_call_id="s", server_executed=True
    )

    assert told(pieces, searched) == []
    assert [*pieces.calls()] == []


@pytest.mark.parametrize(("kind", "chunk"), [("text", str), ("reasoning", Reasoning)])
def test_pieces_that_came_at_once_are_told_as_they_came(kind: str, chunk: type) -> None:
    """Each by itself; the event that llm keeps has forgotten them."""
    pieces = Pieces(calls_are_text=False)
    event = Bundle(Part(kind), ["one ", "two"])

    assert told(pieces, event) == [chunk("one "), chunk("two")]
    assert told(pieces, event) == []
    assert event.chunk == "one two"


def test_arguments_that_came_at_once_are_one_call() -> None:
    """Or the answer, where that is how a model meets a schema: each piece by itself."""
    part = Part("tool_call_args", tool_call_id="a")
    pieces, text = Pieces(calls_are_text=False), Pieces(calls_are_text=True)

    assert told(pieces, NAME, Bundle(part, ['{"x":', "1}"]))[1:] == [
        Calling('{"x":'), Calling("1}"),
    ]  # fmt: skip
    assert [*pieces.calls()] == [ToolCall("a", "add", {"x": 1})]
    assert told(text, NAME, Bundle(part, ['{"x":', "1}"])) == ['{"x":', "1}"]
