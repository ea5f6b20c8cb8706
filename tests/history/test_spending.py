"""What a run has spent, told from its events."""

from typing import Any

import pytest

from llm_stream.history.reading import Reading
from llm_stream.history.spending import Spending, Spent, spent_by, tokens_in
from llm_stream.models.chunks import Message
from llm_stream.recipes.spec import RunSpec

from .conftest import ended

SPEC = RunSpec(recipe="generate", model="a", messages=(Message("user", "x" * 41),))
"""Eleven tokens, about."""


def text(said: str) -> dict[str, Any]:
    """A piece of the answer."""
    return {"type": "text.delta", "text": said}


def usage(read: int | None, written: int | None, *, estimated: bool = False) -> dict[str, Any]:
    """What a model reports at the end of a call."""
    return {
        "type": "usage", "model": "a-2026", "input_tokens": read, "output_tokens": written,
        "details": None, "estimated": estimated,
    }  # fmt: skip


def failed(model: str, following: str | None) -> dict[str, Any]:
    """A call that failed, and who is asked next."""
    after = None if following is None else {"model": following, "delay_ms": 0}
    return {"type": "attempt.failed", "attempt": 1, "model": model, "error": {}, "next": after}


@pytest.mark.parametrize(
    ("events", "spent"),
    [
        ([], {}),
        ([text("Hello"), usage(3, 4)], {"a": Spent(1, 3, 4)}),
        ([text("Hello"), usage(3, 4), text("{}"), usage(5, 6)], {"a": Spent(2, 8, 10)}),
        ([text("Hello"), usage(None, None)], {"a": Spent(1, 0, 0, 11, 2)}),
        ([text("Hello"), usage(3, None)], {"a": Spent(1, 3, 0, 0, 2)}),
        ([text("Hello"), usage(3, 4, estimated=True)], {"a": Spent(1, 0, 0, 3, 4)}),
        ([text("Hel")], {"a": Spent(1, 0, 0, 11, 1)}),
        ([{"type": "reasoning.delta", "text": "hm, hm"}], {"a": Spent(1, 0, 0, 11, 2)}),
        ([{"type": "tool.called", "arguments": {"a": 1}}], {"a": Spent(1, 0, 0, 11, 2)}),
        ([failed("a", "b"), text("Hello"), usage(3, 4)], {"b": Spent(1, 3, 4)}),
        (
            [text("Hel"), failed("a", "b"), text("lo"), usage(3, 4)],
            {"a": Spent(1, 0, 0, 11, 1), "b": Spent(1, 3, 4)},
        ),
        ([text("Hel"), failed("a", None)], {"a": Spent(1, 0, 0, 11, 1)}),
        (
            [text("Hel"), failed("a", "a"), {"type": "run.restarted", "reason": "x"},
             text("Hello"), usage(3, 4)],
            {"a": Spent(2, 3, 4, 11, 1)},
        ),
        (
            [failed("a", "b"), text("Hel"), {"type": "run.restarted", "reason": "owner_lost"},
             text("Hello"), usage(3, 4)],
            {"b": Spent(1, 0, 0, 11, 1), "a": Spent(1, 3, 4)},
        ),
    ],
    ids=[
        "never sent", "reported", "repaired", "nothing reported", "half reported",
        "reported as estimated", "cut off", "cut off while it thought", "cut off after a tool",
        "fallback", "fallback in the middle", "lost in the middle", "begun anew",
        "begun anew elsewhere",
    ],
)  # fmt: skip
def test_calls_are_told_by_model(events: list[dict[str, Any]], spent: dict[str, Spent]) -> None:
    """Reported tokens are exact; those of calls that said something and no count are estimates."""
    assert Spending(SPEC).of("a", events) == spent


async def test_a_cancelled_run_has_spent_what_it_said() -> None:
    """Nobody reports its tokens, so they are estimated from prompt and text."""
    spec, run = await ended("Plan a shop", "Hello", " world", end="cancelled")

    assert spent_by(spec, run.info, Reading(run).payloads) == {
        "m": Spent(1, 0, 0, tokens_in(11), tokens_in(11))
    }


async def test_recipes_that_ask_others_spend_nothing_themselves() -> None:
    """Their inner runs are entered on their own, each once."""
    spec, run = await ended()
    run.info = run.info._replace(recipe="evaluate")

    assert spent_by(spec, run.info, Reading(run).payloads) == {}


def test_a_schema_is_part_of_what_is_asked() -> None:
    """The model reads it as well."""
    plain = RunSpec(recipe="generate", model="a", messages=(Message("user", "hello"),))
    asked = RunSpec(
        recipe="generate", model="a", messages=(Message("user", "hello"),), schema={"type": "null"}
    )

    assert plain.asked_chars == 5
    assert asked.asked_chars == 5 + len('{"type":"null"}')
