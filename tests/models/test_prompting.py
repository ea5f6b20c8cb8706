"""A call of a model in llm's words, tools and what has come of them included."""

from typing import Any

import llm
import pytest

from llm_stream.models.chunks import Message, ModelCall
from llm_stream.models.prompting import declared, prompt_of
from llm_stream.models.toolset import Tool, ToolCall, Toolset

ADD = Tool("add", "Adds.", {"type": "object"}, strict=True)
TALK = (
    Message("user", "Sum?"),
    Message("assistant", "", (), (ToolCall("a", "add", {"x": 1}), ToolCall("b", "mul", {}))),
    Message("tool", "1", tool_call_id="a"),
    Message("tool", "2", tool_call_id="b"),
    Message("user", "And?"),
)


def messages(*turns: Message) -> list[dict[str, Any]]:
    """What llm gets, as plain JSON."""
    made = prompt_of(ModelCall(turns), stream=True)["messages"]
    return [message.to_dict() for message in made]


def test_a_single_question_is_a_prompt() -> None:
    """Models that know no conversation can answer it."""
    kwargs = prompt_of(ModelCall((Message("system", "s"), Message("user", "u"))), stream=False)

    assert (kwargs["prompt"], kwargs["system"], kwargs["stream"]) == ("u", "s", False)
    assert "messages" not in kwargs
    assert "tools" not in kwargs


def test_results_that_follow_each_other_are_one_turn() -> None:
    """Providers refuse the results of parallel calls in several; each has its tool's name."""
    _, called, results, _ = messages(*TALK)

    assert [part["name"] for part in called["parts"]] == ["add", "mul"]
    assert [(part["name"], part["output"]) for part in results["parts"]] == [
        ("add", "1"), ("mul", "2"),
    ]  # fmt: skip


def test_an_id_is_used_again() -> None:
    """Some providers count the calls of each answer; a result is that of the last answer's."""
    again = Message("assistant", "", (), (ToolCall("a", "sub", {}),))
    *_, last = messages(*TALK[:4], again, Message("tool", "3", tool_call_id="a"))

    assert last["parts"][0]["name"] == "sub"


def test_a_turn_of_calls_alone_says_nothing() -> None:
    """An empty text beside a call is refused by providers."""
    _, called, *_ = messages(*TALK)

    assert {part["type"] for part in called["parts"]} == {"tool_call"}


def test_what_a_provider_keeps_with_a_call_goes_back() -> None:
    """Its signature on the call, and the signed thoughts before everything else."""
    thought = {"text": "Hm.", "provider_metadata": {"anthropic": {"signature": "x"}}}
    kept = {"gemini": {"thoughtSignature": "y"}, "thoughts": [thought]}
    turn = Message("assistant", "Look:", (), (ToolCall("a", "add", {}, kept),))
    _, called, _ = messages(TALK[0], turn, Message("tool", "3", tool_call_id="a"))

    assert [part["type"] for part in called["parts"]] == ["reasoning", "text", "tool_call"]
    assert called["parts"][0]["provider_metadata"] == thought["provider_metadata"]
    assert called["parts"][2]["provider_metadata"] == {"gemini": kept["gemini"]}


def test_llm_cannot_run_a_callers_tool() -> None:
    """It has a declaration and nothing else."""
    (tool,) = declared(Toolset((ADD,)))

    assert isinstance(tool, llm.Tool)
    assert (tool.name, tool.description, tool.strict) == ("add", "Adds.", True)
    assert tool.implementation is None


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_other_turns_are_as_they_were(role: Any) -> None:
    """A text is a part, also an empty one."""
    first, *_ = messages(Message(role, ""), Message("user", "x"), Message("assistant", "y"))

    assert first == {"role": role, "parts": [{"type": "text", "text": ""}]}
