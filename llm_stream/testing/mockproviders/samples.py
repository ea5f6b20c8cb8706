"""A value that meets a JSON Schema, for answers and tool calls that have to have a shape."""

from typing import Any, Final

DEEPEST: Final = 12
"""Levels after which a schema that refers to itself gets no more members."""


def sample(schema: Any, definitions: Any = None, depth: int = 0) -> Any:
    """A value of that schema: every property, one element of a list, the first of alternatives.

    Args:
        schema: JSON Schema; Gemini's upper-case types are understood.
        definitions: the schema that references are looked up in; None = this one.
        depth: levels above this one.
    """
    if not isinstance(schema, dict):
        return "value"
    root = schema if definitions is None else definitions
    if "$ref" in schema:
        return sample(referred(root, schema["$ref"]), root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return sample(schema[key][0], root, depth + 1)
    if schema.get("enum"):
        return schema["enum"][0]
    return of_type(schema, root, depth)


def of_type(schema: dict[str, Any], root: Any, depth: int) -> Any:
    """A value of the type that a schema names."""
    kind = schema.get("type", "object" if "properties" in schema else "string")
    match str(kind[0] if isinstance(kind, list) else kind).lower():
        case "object":
            properties = schema.get("properties", {})
            wanted = properties if depth < DEEPEST else schema.get("required", ())
            return {
                name: sample(properties.get(name), root, depth + 1)
                for name in (wanted if depth < 2 * DEEPEST else ())
            }
        case "array":
            count = max(schema.get("minItems", 0), 1 if depth < DEEPEST else 0)
            return [sample(schema.get("items"), root, depth + 1) for _ in range(count)]
        case "integer" | "number":
            return max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case "null":
            return None
    return "value".ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def referred(root: Any, reference: str) -> Any:
    """What a local reference (`#/$defs/x`) stands for; any value if it leads nowhere."""
    found = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            found = found.get(step) if isinstance(found, dict) else None
    return found
