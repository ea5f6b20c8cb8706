"""Schemas: checked early, never fetched, held against answers."""

from typing import Any

import pytest

from llm_stream.errors import InvalidField, InvalidOutput
from llm_stream.recipes.schemas import check_schema, hold_against

TREE = {
    "$defs": {
        "task": {
            "type": "object",
            "required": ["title"],
            "properties": {
                "title": {"type": "string"},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/task"}},
            },
        }
    },
    "$ref": "#/$defs/task",
}


def test_a_schema_may_refer_to_itself() -> None:
    """Recursive shapes are fine, and faults name their place."""
    check_schema(TREE)
    hold_against(TREE, {"title": "shop", "parts": [{"title": "cart"}]})

    with pytest.raises(InvalidOutput, match=r"\$\.parts\[0\]"):
        hold_against(TREE, {"title": "shop", "parts": [{}]})


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "objekt"}, "Not a JSON Schema"),
        ({"$ref": "http://127.0.0.1/x"}, "only to itself"),
        ({"items": {"$dynamicRef": "file:///etc/passwd"}}, "only to itself"),
        ({"$ref": "#/$defs/none"}, "does not have"),
    ],
)
def test_what_cannot_be_used_is_refused_before_a_run(schema: Any, says: Any) -> None:
    """Not a schema, a foreign reference, a dangling one: the caller's doing."""
    with pytest.raises(InvalidField, match=says) as caught:
        check_schema(schema)

    assert caught.value.field == "schema"


def test_an_endless_reference_is_told_apart_from_a_bug() -> None:
    """A schema that is only itself ends as the caller's fault, not as a crash."""
    with pytest.raises(InvalidField, match="without end"):
        hold_against({"$ref": "#"}, 1)
