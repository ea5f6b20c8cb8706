"""Scripts: what a model of a mock provider says and what goes wrong, in Python or YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from llm_stream.testing.mockproviders.answers import MockAnswer
from llm_stream.testing.mockproviders.faults import MockFault


class ScriptFault(ValueError):
    """A script cannot be used; the lines say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MockScript:
    """One model.

    Args:
        answers: one a request, the last one repeats; none = seeded.
        faults: in the order in which they hold; none = as the model's name has them.
    """

    answers: tuple[MockAnswer, ...] = ()
    faults: tuple[MockFault, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptFile:
    """A whole file: `models` by name, `*` = any other; `seed` is of jitter and of other answers."""

    models: Mapping[str, MockScript] = field(default_factory=dict)
    seed: int = 0

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


def load_script(path: Path) -> ScriptFile:
    """Read a YAML script.

    Raises:
        ScriptFault: it cannot be read, is no YAML, or says what no script can.
    """
    try:
        return TypeAdapter(ScriptFile).validate_python(
            yaml.safe_load(path.read_text("utf-8")) or {}
        )
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ScriptFault("\n".join(lines)) from error
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScriptFault(str(error)) from error
