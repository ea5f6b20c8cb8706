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


DOUBLING = {
    "$defs": {
        **{f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(20)},
        "l20": {"type": "string"},
    },
    "$ref": "#/$defs/l0",
}
CHAIN = {
    "$defs": {
        **{f"l{n}": {"properties": {"x": {"$ref": f"#/$defs/l{n + 1}"}}} for n in range(2000)},
        "l2000": {},
    },
    "$ref": "#/$defs/l0",
}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "objekt"}, "Not a JSON Schema"),
        ({"$ref": "http://127.0.0.1/x"}, "only to itself"),
        ({"items": {"$dynamicRef": "file:///etc/passwd"}}, "only to itself"),
        ({"$ref": "#/$defs/none"}, "does not exist"),
        ({"$ref": "#/allOf/x", "allOf": [{}]}, "array index"),
        ({"$ref": "#/title", "title": "text"}, "Not a JSON Schema"),
        ({"$ref": "#"}, "circle"),
        ({"allOf": [{"anyOf": [{"$ref": "#"}]}]}, "circle"),
        ({"pattern": "(?=look)ahead"}, "regex"),
        (DOUBLING, "too complex"),
        (CHAIN, "nested too deeply"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_used_is_refused_before_a_run(schema: Any, says: str) -> None:
    """Not a schema, foreign, dangling, circular or exploding references: the caller's doing."""
    with pytest.raises(InvalidField, match=says) as caught:
        check_schema(schema)

    assert caught.value.field == "schema"


def test_a_pattern_cannot_take_exponential_time() -> None:
    """The classic trap is answered at once, on a text on which backtracking would never end."""
    trap = {"type": "string", "pattern": "^(a+)+$"}
    check_schema(trap)

    with pytest.raises(InvalidOutput):
        hold_against(trap, "a" * 10_000 + "!")


def test_data_in_a_schema_is_not_a_reference() -> None:
    """What stands under enum, const, default and examples is never followed."""
    check_schema({"enum": [{"$ref": "http://127.0.0.1/x"}], "examples": [{"$ref": "#/no"}]})
