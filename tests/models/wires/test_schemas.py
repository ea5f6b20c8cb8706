from typing import Any

import pytest

from llm_stream.errors import UnsupportedByModel
from llm_stream.models.wires.schemas import for_anthropic, for_gemini


def test_anthropic_gets_closed_objects_and_words_for_the_rest() -> None:
    """Objects in any depth are closed; what cannot be enforced stands in the description."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "A number."},
            "l": {"type": "array", "items": {"type": "object", "properties": {}}},
            "o": {"oneOf": [{"type": "string", "maxLength": 3}, {"$ref": "#/$defs/d"}]},
        },
        "$defs": {"d": {"type": "object", "properties": {}}},
    }

    assert for_anthropic(schema) == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "n": {"type": "integer", "description": "A number. (minimum: 1)"},
            "l": {
                "type": "array",
                "items": {"type": "object", "properties": {}, "additionalProperties": False},
            },
            "o": {
                "anyOf": [
                    {"type": "string", "description": "(maxLength: 3)"},
                    {"$ref": "#/$defs/d"},
                ]
            },
        },
        "$defs": {"d": {"type": "object", "properties": {}, "additionalProperties": False}},
    }


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["string", "null"]}, {"nullable": True, "type": "string"}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"type": "string", "format": "email"}, {"type": "string"}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"$schema": "x", "title": "T", "additionalProperties": False}, {}),
        (
            {"properties": {"title": {"type": "string", "title": "T"}}},
            {"properties": {"title": {"type": "string"}}},
        ),
        (
            {
                "$defs": {"d": {"type": "string"}},
                "items": {"$ref": "#/$defs/d", "description": "x"},
            },
            {"items": {"type": "string", "description": "x"}},
        ),
        (
            {"definitions": {"d": {"const": 1}}, "oneOf": [{"$ref": "#/definitions/d"}]},
            {"anyOf": [{"enum": [1]}]},
        ),
        ({"properties": {"a": True}}, {"properties": {"a": True}}),
    ],
)
def test_gemini_gets_its_subset(schema: Any, expected: Any) -> None:
    """References are written out, keywords it does not have are left out."""
    assert for_gemini(schema, "m") == expected


def test_gemini_gets_no_schema_without_an_end() -> None:
    """One that refers to itself is refused, in whatever way it does."""
    schema = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}

    with pytest.raises(UnsupportedByModel):
        for_gemini(schema, "m")
