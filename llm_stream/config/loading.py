"""Command line, environment and file become `Settings`, or one error with every faulty key."""

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from os import environ
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from llm_stream.config.section import Section
from llm_stream.config.settings import Sections, Settings

PREFIX: Final = "LLM_STREAM__"

Layer = dict[str, Any]
"""Values as one source gives them: {section: {key: value}}."""


class ConfigError(Exception):
    """The configuration cannot be used.

    `faults` has one line for each faulty key: its dotted path, what is wrong or allowed, the value
    and where it comes from.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


def load(path: Path | None = None, overrides: Mapping[str, Mapping[str, Any]] = {}) -> Settings:
    """Merge the sources, key by key: command line over environment over file over defaults.

    Environment variables are `LLM_STREAM__SERVER__PORT`; lists and tables in them are JSON.

    Args:
        path: a TOML file, None = no file.
        overrides: values of the command line, {section: {key: value}}.

    Raises:
        ConfigError: file missing or not TOML, unknown section or key, wrong type, value out of
            range, or an address that is open to others (the operator's doing).
    """
    file = _read(path) if path else {}
    env = _Environment.read()
    faults = [
        *_faults_of_file(file, path),
        *_faults(env, lambda key: PREFIX + key.replace(".", "__").upper()),
        *_faults(overrides, lambda key: "--" + key.rpartition(".")[2]),
    ]
    if faults:
        raise ConfigError(faults)
    merged: Layer = Settings().model_dump(include={"models": {"aliases"}, "providers": True})
    for layer in (file, env, overrides):
        merged = _merge(merged, layer)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(fault["msg"] for fault in error.errors()) from error


class _Environment(BaseSettings, Sections):
    """Describes to pydantic-settings which variables there are."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")

    @classmethod
    def read(cls) -> Layer:
        """What the variables say, unknown sections included."""
        return _EnvironmentSource(cls)() | {
            section: None
            for name in environ
            if name.upper().startswith(PREFIX)
            and (section := name[len(PREFIX) :].split("__")[0].lower()) not in Sections.model_fields
        }


class _EnvironmentSource(EnvSettingsSource):
    """Leaves values that are not JSON as they are, for the check to name their key."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def _read(path: Path) -> Layer:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from error


def _faults_of_file(values: Layer, path: Path | None) -> Iterator[str]:
    try:
        # Types in a file are exact: "8080" is no port. As JSON, since a list is a tuple only there.
        Sections.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        yield from _lines(error, lambda _key: str(path))


def _faults(values: Mapping[str, Any], source: Callable[[str], str]) -> Iterator[str]:
    try:
        Sections.model_validate(values)
    except ValidationError as error:
        yield from _lines(error, source)


def _lines(error: ValidationError, source: Callable[[str], str]) -> Iterator[str]:
    """One line a fault; `source` tells where the value of a dotted key comes from."""
    for fault in error.errors(include_url=False):
        path = [str(part) for part in fault["loc"] if part != "[key]"]
        key = ".".join(path)
        match fault["type"]:
            case "extra_forbidden":
                # The value is not shown: what is misspelt may be a secret.
                problem = f"there is no such key; {_known(path)}"
            case "model_type" | "model_attributes_type" | "dict_type":
                problem = "should be a table"
            case "list_type" | "tuple_type":
                problem = 'should be a list such as ["a", "b"]'
            case _:
                text = fault["msg"].removeprefix("Input ").removeprefix("String ")
                problem = f"{text}, got {fault['input']!r:.80}"
        yield f"{key}: {problem} (from {source(key)})"


def _known(path: list[str]) -> str:
    section: type[BaseModel] = Sections
    for name in path[:-1]:
        inner = section.model_fields[name].annotation if name in section.model_fields else None
        # A table of named sections, as [providers.<name>]: its values are meant.
        inner = next(reversed(get_args(inner)), None) if get_origin(inner) is dict else inner
        if isinstance(inner, type) and issubclass(inner, Section):
            section = inner
    close = get_close_matches(path[-1], section.model_fields, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"allowed: {', '.join(section.model_fields)}"


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Layer:
    """Both, `above` winning key by key, in tables within tables too."""
    both = dict(below)
    for key, value in above.items():
        old = both.get(key)
        tables = isinstance(old, Mapping) and isinstance(value, Mapping)
        both[key] = _merge(old, value) if tables else value  # type: ignore[arg-type]
    return both
