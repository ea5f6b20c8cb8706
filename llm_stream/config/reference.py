"""Every setting for people: docs/configuration.md behind its introduction, made of the sections.

`scripts/write-configuration` writes it, and a test holds it against this. Nothing that serves
needs it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from llm_stream.config.loading import PREFIX
from llm_stream.config.section import Section
from llm_stream.config.settings import Settings

UNITS: Final = ("seconds", "bytes", "chars", "tokens", "days")
"""Last words of keys that say what a number counts."""

_WORDS: Final = {
    "boolean": "true or false", "integer": "whole number", "number": "number", "string": "text",
}  # fmt: skip


def reference() -> str:
    """Every section and key, in Markdown."""
    return "\n".join(_section(Settings, "", {}))


def _section(
    section: type[BaseModel], path: str, told: dict[type[BaseModel], str]
) -> Iterator[str]:
    """The keys of a section, its own before those of sections within it.

    `told` has where each kind of section was told of; another one of it refers to that.
    """
    schema = section.model_json_schema()
    within: list[tuple[str, type[BaseModel], str]] = []
    for name, field in section.model_fields.items():
        inner = _inner(field.annotation)
        if inner is None:
            yield from _key(path + name, field, schema["properties"][name])
            continue
        one = inner is field.annotation
        about = inner.__doc__ if one else field.description
        within.append((path + name if one else f"{path}{name}.NAME", inner, _escaped(about)))
    for place, inner, about in within:
        yield f"## {place}\n"
        yield f"{about}\n"
        if inner in told:
            variable = f"`{_variable(place.removesuffix('.NAME'))}`, as JSON"
            yield f"{variable} · keys as of {told[inner]}\n"
        else:
            told[inner] = place
            yield from _section(inner, f"{place}.", told)


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The section that a key is, or that each of the tables it holds is; None: it is a value."""
    for kind in (annotation, *get_args(annotation)[-1:]):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _key(path: str, field: FieldInfo, schema: Mapping[str, Any]) -> Iterator[str]:
    facts = [f"`{_variable(path)}`", _kind(schema) + _unit(path), _default(field)]
    yield f"### {path}\n"
    yield " · ".join(facts) + "\n"
    yield f"{_escaped(field.description)}\n"


def _escaped(text: str | None) -> str:
    """Words for a place in them, <name> say, would be taken for HTML."""
    return (text or "").replace("<", "\\<")


def _variable(path: str) -> str:
    return PREFIX + path.replace(".", "__").upper()


def _kind(schema: Mapping[str, Any]) -> str:
    """A type and its range, in words."""
    choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if choices:
        return _kind(choices[0])
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if schema["type"] == "array":
        return f"list of {_kind(schema['items'])}"
    if schema["type"] == "object":
        return f"table by name, each {_kind(schema['additionalProperties'])}"
    return _WORDS[schema["type"]] + _range(schema)


def _range(schema: Mapping[str, Any]) -> str:
    least, above, most = (schema.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    if above is not None:
        return f" above {above:,.0f}" + ("" if most is None else f", at most {most:,.0f}")
    if least is not None and most is not None:
        return f" from {least:,.0f} to {most:,.0f}"
    return "" if least is None else f", at least {least:,.0f}"


def _unit(path: str) -> str:
    word = path.rpartition("_")[2]
    return f", in {'characters' if word == 'chars' else word}" if word in UNITS else ""


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "has to be given"
    if value is None:
        return "not set by default"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"default `{json.dumps(value)}`"
