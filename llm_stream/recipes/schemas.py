"""JSON Schemas of callers: checked before a run exists, held against answers after it.

They are hostile input. Nothing they refer to is ever fetched, patterns run in linear time, and
what would take exponential time or never end is refused before anything is paid for.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

import jsonschema_rs
import orjson

from llm_stream.errors import InvalidField, InvalidOutput

MAX_EXPANDED: Final = 20_000
"""Subschemas, references followed, that one value may be held against."""

_DATA: Final = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are data, not schemas."""

_IN_PLACE: Final = frozenset(
    {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
     "dependentSchemas"}
)  # fmt: skip
"""Keywords that look at the same value again; a circle of them alone never ends."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise unless it is a JSON Schema (2020-12) that can be held against answers.

    Raises:
        InvalidField: not a schema, refers to something else or in circles, or is too complex
            (the caller's doing).
    """
    for reference in _references(schema):
        if not reference.startswith("#"):
            raise InvalidField("A schema may refer only to itself ('#/...').", field="schema")
    try:
        _validator(orjson.dumps(schema))
        size = _Measure(schema).size(schema)
    except jsonschema_rs.ValidationError as error:
        raise InvalidField(f"Not a JSON Schema: {error.message[:200]}.", field="schema") from error
    except (ValueError, LookupError) as error:
        raise InvalidField(f"The schema cannot be used: {error}.", field="schema") from error
    except RecursionError as error:
        raise InvalidField("The schema is nested too deeply.", field="schema") from error
    if size > MAX_EXPANDED:
        raise InvalidField(
            "The schema is too complex: references multiply its parts too often.", field="schema"
        )


def hold_against(schema: Mapping[str, Any], value: Any) -> None:
    """Raise unless the value, decoded JSON, meets a schema that `check_schema` has passed.

    Raises:
        InvalidOutput: it does not; names the place (the model's doing).
    """
    validator = _validator(orjson.dumps(schema))
    try:
        fault = next(validator.iter_errors(value), None)
    except (ValueError, OverflowError, RecursionError) as error:
        # Too deep, or text that is not Unicode: nothing a schema could be meant to allow.
        raise InvalidOutput(f"The answer cannot be checked: {error}.") from error
    if fault is not None:
        place = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault.instance_path
        )
        raise InvalidOutput(
            f"The answer does not meet the schema at ${place}: {fault.message[:200]}."
        )


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        orjson.loads(schema),
        retriever=_never,
        # Linear time, whatever the pattern; the price is no look-around.
        pattern_options=jsonschema_rs.RegexOptions(),
    )


def _never(uri: str) -> NoReturn:
    raise ValueError(f"{uri[:100]} is not fetched")


class _Measure:
    """How many subschemas a value is held against, each reference followed."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[int, int] = {}
        self._in_place: set[int] = set()
        self._open: set[int] = set()

    def size(self, schema: Any, *, in_place: bool = False) -> int:
        """The size of a subschema; recursion through other values counts once.

        Raises:
            ValueError: references lead in a circle without reaching into the value.
            LookupError: a reference leads nowhere.
        """
        if not isinstance(schema, (dict, list)):
            return 0
        key = id(schema)
        if key in self._in_place and in_place:
            raise ValueError("its references lead in a circle")
        if key in self._known:
            return self._known[key]
        if key in self._open:
            return 1
        kept = self._in_place
        self._in_place = kept | {key} if in_place or not kept else {key}
        self._open.add(key)
        total = 1
        for name, inner in schema.items() if isinstance(schema, dict) else enumerate(schema):
            if name in _DATA and isinstance(schema, dict):
                continue
            stays = (isinstance(schema, list) and in_place) or name in _IN_PLACE
            if name == "$ref" and isinstance(inner, str):
                total += self.size(self._target(inner), in_place=True)
            else:
                total += self.size(inner, in_place=bool(stays))
            if total > MAX_EXPANDED:
                break
        self._open.discard(key)
        self._in_place = kept
        self._known[key] = total
        return total

    def _target(self, reference: str) -> Any:
        found: Any = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found[int(name)] if isinstance(found, list) else found[name]
        return found


def _references(value: Any) -> Iterator[str]:
    """Every reference of a schema, wherever it stands, data left out."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in {"$ref", "$dynamicRef", "$recursiveRef"} and isinstance(inner, str):
                yield inner
            elif name not in _DATA:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
