"""JSON Schemas of callers: checked before a run exists, held against answers after it.

Nothing a schema refers to is ever fetched.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from llm_stream.errors import InvalidField, InvalidOutput

REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise unless it is a JSON Schema (2020-12) that refers to nothing but itself.

    Raises:
        InvalidField: it is not (the caller's doing).
    """
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise InvalidField(
            f"Not a JSON Schema: {error.message[:200]} at {error.json_path}.", field="schema"
        ) from error
    resource = DRAFT202012.create_resource(schema)
    resolver = Registry().with_resource("", resource).resolver()
    for reference in _references(schema):
        if not reference.startswith("#"):
            raise InvalidField("A schema may refer only to itself ('#/...').", field="schema")
        try:
            resolver.lookup(reference)
        except Unresolvable as error:
            raise InvalidField(
                f"The schema refers to {reference[:100]!r}, which it does not have.",
                field="schema",
            ) from error


def hold_against(schema: Mapping[str, Any], value: Any) -> None:
    """Raise unless the value, decoded JSON, meets a schema that `check_schema` has passed.

    Raises:
        InvalidOutput: it does not; names the place (the model's doing).
        InvalidField: the schema refers to itself without end (the caller's doing).
    """
    validator = jsonschema.Draft202012Validator(schema, registry=Registry())
    try:
        fault = jsonschema.exceptions.best_match(validator.iter_errors(value))
    except RecursionError as error:
        raise InvalidField("The schema refers to itself without end.", field="schema") from error
    if fault is not None:
        raise InvalidOutput(
            f"The answer does not meet the schema at {fault.json_path}: {fault.message[:200]}."
        )


def _references(value: Any) -> Iterator[str]:
    """Every reference of a schema, wherever it stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in REFERENCES and isinstance(inner, str):
                yield inner
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
