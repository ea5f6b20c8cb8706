"""Callers' tools on every wire: declared, called, answered, and how they may be called."""

from typing import Any

import pytest

from llm_stream.errors import UnsupportedByModel
from llm_stream.models.chunks import Message
from llm_stream.models.toolset import Tool, ToolCall, Toolset

from .conftest import MakeAdapter, ask, call
from .fakeserver import FakeProvider, Reply
from .samples import ANTHROPIC, CHAT, GEMINI, RESPONSES

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "Tells the weather.", SCHEMA)
NOW = Tool("now", "", {"type": "object", "properties": {}}, strict=True)
SAMPLES = {
    "openai": CHAT, "openai_responses": RESPONSES, "anthropic": ANTHROPIC, "gemini": GEMINI,
}  # fmt: skip


CHOICES: dict[str, dict[str, Any]] = {
    "openai": {
        "none": {"tool_choice": "none"},
        "required": {"tool_choice": "required"},
        "named": {"tool_choice": {"type": "function", "function": {"name": "now"}}},
        "single": {"parallel_tool_calls": False},
    },
    "openai_responses": {
        "none": {"tool_choice": "none"},
        "required": {"tool_choice": "required"},
        "named": {"tool_choice": {"type": "function", "name": "now"}},
        "single": {"parallel_tool_calls": False},
    },
    "anthropic": {
        "none": {"tool_choice": {"type": "none"}},
        "required": {"tool_choice": {"type": "any"}},
        "named": {"tool_choice": {"type": "tool", "name": "now"}},
        "single": {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    },
    "gemini": {
        "none": {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
        "required": {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        "named": {"toolConfig": {"functionCallingConfig": {
            "mode": "ANY", "allowedFunctionNames": ["now"]}}},
    },
}  # fmt: skip
USES: dict[str, dict[str, Any]] = {
    "auto": {},
    "none": {"choice": "none"},
    "required": {"choice": "required"},
    "named": {"choice": "required", "named": "now"},
    "single": {"parallel": False},
}
SAYS = ("tool_choice", "parallel_tool_calls", "toolConfig")


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", SAMPLES)
async def test_how_tools_may_be_called(
    kind: str, use: str, wire: MakeAdapter, provider: FakeProvider
) -> None:
    """In each provider's words; nothing is said where it is as the model likes."""
    if (kind, use) == ("gemini", "single"):
        return  # it has no word for it, see below
    provider.answer(Reply(SAMPLES[kind]))

    await ask(wire(kind), call(tools=Toolset((WEATHER, NOW), **USES[use])))

    body = provider.last.body
    assert {name: body[name] for name in SAYS if name in body} == CHOICES[kind].get(use, {})


async def test_gemini_cannot_be_told_to_call_one_at_a_time(wire: MakeAdapter) -> None:
    """The parameter is named before anything is sent."""
    with pytest.raises(UnsupportedByModel) as caught:
        wire("gemini").check(call(tools=Toolset((NOW,), parallel=False)))

    assert caught.value.field == "parallel_tool_calls"


async def test_gemini_takes_no_schema_that_refers_to_itself(wire: MakeAdapter) -> None:
    """The tool that has it is named before anything is sent."""
    circle = {"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}

    with pytest.raises(UnsupportedByModel) as caught:
        wire("gemini").check(call(tools=Toolset((NOW, Tool("n", "", circle)))))

    assert caught.value.field == "tools.1.parameters"


async def test_palm_takes_no_tools(wire: MakeAdapter) -> None:
    """Nor calls and results of others: the field is named before anything is sent."""
    adapter = wire("palm")
    turns = (
        Message("user", "?"),
        Message("assistant", "", (), (ToolCall("c", "now", {}),)),
        Message("tool", "noon", tool_call_id="c"),
    )

    for asked, field in ((call(tools=Toolset((NOW,))), "tools"), (call(*turns), "messages")):
        with pytest.raises(UnsupportedByModel) as caught:
            adapter.check(asked)
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("kind", "declared"),
    [
        ("openai", {"type": "function", "function": {
            "name": "now", "description": "", "parameters": NOW.parameters, "strict": True}}),
        ("openai_responses", {"type": "function", "name": "now", "description": "",
                              "parameters": NOW.parameters, "strict": True}),
        ("anthropic", {"name": "now", "description": "", "input_schema": NOW.parameters}),
        ("gemini", {"functionDeclarations": [{"name": "now", "description": ""}]}),
    ],
)  # fmt: skip
async def test_a_tool_without_arguments(
    kind: str, declared: dict[str, Any], wire: MakeAdapter, provider: FakeProvider
) -> None:
    """Is declared as each provider takes one; who knows of strictness is told."""
    provider.answer(Reply(SAMPLES[kind]))

    await ask(wire(kind), call(tools=Toolset((NOW,))))

    assert provider.last.body["tools"] == [declared]


async def test_only_a_signature_goes_back_to_gemini(
    wire: MakeAdapter, provider: FakeProvider
) -> None:
    """What a caller claims was kept with a call says nothing else to the provider."""
    provider.answer(Reply(GEMINI))
    kept = {"gemini": {"thoughtSignature": "x", "text": "!"}, "anthropic": {"signature": "y"}}
    said = Message("assistant", "", (), (ToolCall("c", "now", {}, kept),))
    result = Message("tool", "noon", tool_call_id="c")

    await ask(wire("gemini"), call(Message("user", "?"), said, result))

    _, called, answered = provider.last.body["contents"]
    assert called["parts"] == [
        {"functionCall": {"name": "now", "args": {}}, "thoughtSignature": "x"}
    ]
    assert answered["parts"][0]["functionResponse"]["name"] == "now"
