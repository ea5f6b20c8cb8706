"""An answer that ended, told apart from one that was cut."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from llm.default_plugins.openai_models import AsyncChat

from llm_stream.errors import UpstreamFailed
from llm_stream.models.finish import finish_of
from llm_stream.testing import ScriptedModel


def response(said: Any, model: Any = None, **more: Any) -> Any:
    """A finished response as a plugin leaves it."""
    fields = {"resolved_model": None, "input_tokens": 3, "output_tokens": 4, "token_details": None}
    return SimpleNamespace(response_json=said, model=model or ScriptedModel("m"), **fields | more)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"finish_reason": "length"}, "length"),
        ({"stop_reason": "end_turn"}, "end_turn"),
        ({"status": "completed"}, "stop"),
        ({"status": "incomplete"}, "length"),
        ({"candidates": [{"finishReason": "STOP"}]}, "STOP"),
        ({"finish_reason": "bad \udcff"}, "bad ?"),
        (None, "stop"),
        ([], "stop"),
    ],
)
def test_each_provider_says_it_in_its_own_place(said: Any, reason: str) -> None:
    """The reason is found wherever the plugin keeps it, and is text that JSON can say."""
    assert finish_of(response(said), "m").finish_reason == reason


@pytest.mark.parametrize(
    "said", [None, {}, {"content": "half"}, {"status": "failed"}, {"status": "in_progress"}]
)
def test_a_provider_that_always_says_it_and_did_not_was_cut(said: Any) -> None:
    """llm's OpenAI classes report no error when a stream breaks off; the missing word tells."""
    model = cast("Any", AsyncChat)("gpt-x", key="x")

    with pytest.raises(UpstreamFailed, match="broke off"):
        finish_of(response(said, model), "gpt-x")


def test_counts_that_are_none_are_none() -> None:
    """Tokens below nothing, or not numbers, are not counted."""
    finish = finish_of(response({}, input_tokens=-1, output_tokens="many"), "m")

    assert (finish.input_tokens, finish.output_tokens) == (None, None)


@pytest.mark.parametrize(
    ("said", "model"), [({"model": "gpt-x-1"}, "gpt-x-1"), ({"model": {"id": 1}}, None), ({}, None)]
)
def test_a_model_is_named_by_text_or_not_at_all(said: Any, model: str | None) -> None:
    """What else stands where the version should be is no name of a model."""
    assert finish_of(response(said), "m").model == model
