"""Events of llm as chunks."""

from typing import Any

import pytest
from llm.parts import StreamEvent

from llm_stream.errors import InvalidOutput
from llm_stream.models.chunks import Reasoning
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


def test_a_call_is_told_when_it_is_whole() -> None:
    """Its pieces are none of the answer's."""
    pieces = Pieces(calls_are_text=False)

    assert [pieces.take(event) for event in (NAME, args('{"x":'), args("1}"))] == [None] * 3
    assert [*pieces.calls()] == [ToolCall("a", "add", {"x": 1})]


def test_the_arguments_of_a_forced_tool_are_the_text() -> None:
    """So some models answer a schema."""
    pieces = Pieces(calls_are_text=True)

    assert [pieces.take(event) for event in (NAME, args('{"x":1}'))] == [None, '{"x":1}']
    assert [*pieces.calls()] == []


def test_signed_thoughts_are_kept_with_the_first_call() -> None:
    """Those without a signature are told and not kept."""
    pieces = Pieces(calls_are_text=False)
    events = (thought("H", 1), thought("m", 1), thought("", 1, signature="x"), thought("!", 2))

    told = [pieces.take(event) for event in (*events, thought("?", None), NAME)]

    assert told == [Reasoning("H"), Reasoning("m"), None, Reasoning("!"), Reasoning("?"), None]
    kept = [{"text": "Hm", "provider_metadata": {"p": {"signature": "x"}}}]
    assert [*pieces.calls()] == [ToolCall("a", "add", {}, {"thoughts": kept})]


def test_what_is_kept_of_a_call_stays_with_it() -> None:
    """Whichever of its events brings it."""
    pieces = Pieces(calls_are_text=False)
    pieces.take(NAME)
    pieces.take(args("{}", provider_metadata={"p": {"signature": "x"}}))

    assert [*pieces.calls()] == [ToolCall("a", "add", {}, {"p": {"signature": "x"}})]


def test_arguments_that_are_no_json_are_the_models_fault() -> None:
    """No caller could use them."""
    pieces = Pieces(calls_are_text=False)
    pieces.take(NAME)
    pieces.take(args("{"))

    with pytest.raises(InvalidOutput, match="add"):
        list(pieces.calls())
