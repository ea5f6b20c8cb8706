"""Reading JSON strictly and naming the field at fault."""

from typing import Any, get_args

import pytest

from llm_stream.errors import InvalidField, MalformedRequest, MissingField, UnknownField
from llm_stream.web.bodies import FRAMES, GenerateBody, StartFrame, read_object, validate
from llm_stream.web.entries import InvalidateBody


def test_an_object_is_read_as_it_is() -> None:
    """Bytes or text of one JSON object become a dict."""
    assert read_object(b'{"a": [1, "\xc3\xa9"]}') == {"a": [1, "é"]}
    assert read_object('{"a": null}') == {"a": None}


@pytest.mark.parametrize("depth", [64, 65])
def test_depth_is_bounded(depth: Any) -> None:
    """64 levels are read, 65 are refused, without recursion."""
    text = '{"a":' * depth + "1" + "}" * depth
    if depth == 64:
        assert read_object(text)
    else:
        with pytest.raises(MalformedRequest, match="64"):
            read_object(text)


@pytest.mark.parametrize(
    ("value", "error", "field"),
    [
        ({"prompt": "x", "extra": 1}, UnknownField, "input.extra"),
        ({"prompt": "x", "cache": {"mode": "use", "x": 1}}, UnknownField, "input.cache.x"),
        ({"prompt": True}, InvalidField, "input.prompt"),
        ({"messages": [{"content": "x"}]}, MissingField, "input.messages.0.role"),
        ({"timeouts": {"total_seconds": float("inf")}}, InvalidField,
         "input.timeouts.total_seconds"),
    ],
)  # fmt: skip
def test_faults_name_their_path(value: Any, error: Any, field: Any) -> None:
    """The path of the first field at fault stands behind the prefix."""
    with pytest.raises(error) as caught:
        validate(GenerateBody, value, "input.")

    assert caught.value.field == field


def test_a_faulty_combination_has_no_path() -> None:
    """What no single field is to blame for is told as it is."""
    with pytest.raises(InvalidField) as caught:
        validate(InvalidateBody, {"all": True, "tag": "x"})

    assert caught.value.field is None
    assert caught.value.detail == "Give one of all, recipe, model, template and tag, or an age."


def test_bodies_are_frozen_and_strict() -> None:
    """A body cannot be changed, and text is not taken for a number."""
    body = validate(GenerateBody, {"prompt": "x"})
    with pytest.raises(ValueError, match="frozen"):
        body.prompt = "y"


def test_every_frame_says_its_type() -> None:
    """The table's key is the frame's only allowed type."""
    for kind, model in FRAMES.items():
        with pytest.raises((InvalidField, MissingField)):
            validate(model, {"type": "other"})
        assert get_args(model.model_fields["type"].annotation) == (kind,)
    assert validate(StartFrame, {"type": "start", "id": "1", "input": {}}).recipe == "generate"
