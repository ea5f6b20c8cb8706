from typing import Any

import llm
import pytest
from llm.parts import AttachmentPart, Message, ReasoningPart, TextPart, ToolCallPart

from llm_stream.errors import UnsupportedByModel
from llm_stream.models.wires.turns import base64_of, function_tools, split, turns_of, type_of
from llm_stream.testing import ScriptedModel

MODEL: Any = ScriptedModel("m")
make_prompt: Any = llm.Prompt


def prompt(**more: Any) -> llm.Prompt:
    """What llm hands to a model."""
    made: llm.Prompt = make_prompt(more.pop("prompt", None), model=MODEL, **more)
    return made


@pytest.mark.parametrize(
    "asked",
    [
        prompt(prompt="Hi", system="Be brief."),
        prompt(messages=[llm.system("Be brief."), llm.user("Hi")]),
        prompt(messages=[llm.user("Hi")], system="Be brief."),
        prompt(messages=[llm.system("Be brief."), llm.user("Hi")], system="Be brief."),
    ],
)
def test_a_system_prompt_counts_wherever_it_stands(asked: llm.Prompt) -> None:
    """By `system=`, by `messages=` or by both, it is there once."""
    system, turns = split(turns_of(asked))

    assert system == "Be brief."
    assert [(turn.role, turn.text) for turn in turns] == [("user", "Hi")]


def test_several_system_turns_are_joined() -> None:
    """Providers with one place for it get all of them, in order."""
    turns = turns_of(prompt(messages=[llm.system("a"), llm.user("x"), llm.system("b")]))

    assert split(turns)[0] == "a\n\nb"
    assert [turn.role for turn in turns] == ["system", "user", "system"]


def test_what_a_provider_did_by_itself_is_not_told_again() -> None:
    """Reasoning and calls that ran at the provider are no turns of ours."""
    parts = [
        ReasoningPart(text="Hm."),
        TextPart(text=""),
        TextPart(text="a"),
        ToolCallPart(name="web", server_executed=True),
        AttachmentPart(attachment=None),
    ]

    (turn,) = turns_of(prompt(messages=[Message("assistant", parts)]))

    assert (turn.texts, turn.calls, turn.attachments) == (["a"], [], [])


@pytest.mark.parametrize(
    "attachment",
    [
        llm.Attachment(type="image/png", url="http://127.0.0.1:1/x"),
        llm.Attachment(type="image/png", path="x.png"),
    ],
)
def test_only_inline_attachments_are_sent(attachment: llm.Attachment) -> None:
    """Nothing is fetched and no file is read."""
    with pytest.raises(UnsupportedByModel):
        base64_of(attachment, "m")


def test_a_type_is_never_guessed() -> None:
    """What is not declared is bytes."""
    assert type_of(llm.Attachment(content=b"\x89PNG")) == "application/octet-stream"


def test_tools_of_the_provider_are_not_ours() -> None:
    """What would run at the provider is refused with the way to have it."""

    class Web:
        """Not an `llm.Tool`."""

    asked = prompt(prompt="Hi")
    asked.tools = [Web()]  # type: ignore[list-item]

    with pytest.raises(UnsupportedByModel, match="transport"):
        list(function_tools(asked, "m"))
