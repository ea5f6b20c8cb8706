"""JSON Schemas as far as providers understand them.

What a provider cannot enforce is left out of what it is sent; the answer is held against the
whole schema afterwards (`recipes/generate`).
"""

from typing import Any, Final

from llm_stream.errors import UnsupportedByModel

ANTHROPIC_KEYS: Final = frozenset(
    {"$defs", "$ref", "additionalProperties", "anyOf", "allOf", "const", "default"}
    | {"description", "enum", "format", "items", "properties", "required", "title", "type"}
)
GEMINI_KEYS: Final = frozenset(
    {"anyOf", "default", "description", "enum", "example", "format", "items", "maxItems"}
    | {"maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties"}
    | {"minimum", "nullable", "pattern", "properties", "propertyOrdering", "required", "type"}
)
GEMINI_FORMATS: Final = frozenset({"date-time", "enum", "double", "float", "int32", "int64"})

MAX_DEPTH: Final = 64
"""Deeper is a schema that refers to itself: it cannot be written without references."""


def for_anthropic(schema: Any) -> Any:
    """For structured outputs: objects are closed, other constraints become words."""
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    unsaid: list[str] = []
    for key, value in schema.items():
        if key in {"properties", "$defs"} and isinstance(value, dict):
            found[key] = {name: for_anthropic(inner) for name, inner in value.items()}
        elif key in {"anyOf", "allOf", "oneOf"} and isinstance(value, list):
            found["anyOf" if key == "oneOf" else key] = [for_anthropic(inner) for inner in value]
        elif key == "items":
            found[key] = for_anthropic(value)
        elif key in ANTHROPIC_KEYS:
            found[key] = value
        elif not key.startswith("$") and not isinstance(value, dict | list):
            unsaid.append(f"{key}: {value}")
    if found.get("type") == "object" or "properties" in found:
        found["additionalProperties"] = False
    if unsaid:
        words = f"({', '.join(unsaid)})"
        found["description"] = f"{found.get('description', '')} {words}".strip()
    return found


def for_gemini(schema: Any, model_id: str) -> Any:
    """For `responseSchema`: the subset of OpenAPI that it is, without references.

    Raises:
        UnsupportedByModel: the schema refers to itself (caller's doing).
    """
    definitions = {}
    if isinstance(schema, dict):
        definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    return _plain(schema, definitions, model_id, 0)


def _plain(schema: Any, definitions: dict[str, Any], model_id: str, depth: int) -> Any:
    if not isinstance(schema, dict):
        return schema
    if depth > MAX_DEPTH:
        raise UnsupportedByModel(
            f"{model_id} takes no JSON Schema that refers to itself.", field="schema"
        )
    reference = schema.get("$ref")
    if isinstance(reference, str):
        named = definitions.get(reference.rpartition("/")[2], {})
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _plain({**named, **beside}, definitions, model_id, depth + 1)
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties" and isinstance(value, dict):
            found[key] = {
                name: _plain(inner, definitions, model_id, depth + 1)
                for name, inner in value.items()
            }
        elif key in {"anyOf", "oneOf"} and isinstance(value, list):
            found["anyOf"] = [_plain(inner, definitions, model_id, depth + 1) for inner in value]
        elif key == "items":
            found[key] = _plain(value, definitions, model_id, depth + 1)
        elif key == "const":
            found["enum"] = [value]
        elif key == "type" and isinstance(value, list):
            found |= _types(value)
        elif key in GEMINI_KEYS and (key != "format" or value in GEMINI_FORMATS):
            found[key] = value
    return found


def _types(names: list[Any]) -> dict[str, Any]:
    """Several types: one of them and null, or any of them."""
    real = [name for name in names if name != "null"]
    found: dict[str, Any] = {"nullable": True} if len(real) < len(names) else {}
    if len(real) == 1:
        found["type"] = real[0]
    elif real:
        found["anyOf"] = [{"type": name} for name in real]
    return found
