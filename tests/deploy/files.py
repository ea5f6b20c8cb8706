"""What the tests of deployment read: files, the settings they come to, and the version."""

import json
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from click.testing import CliRunner

from llm_stream.cli import main
from llm_stream.config import Settings
from llm_stream.web import server

TOP = Path(__file__).parent.parent.parent
DEPLOY = TOP / "deploy"

PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+[\w.-]*")
"""An image whose version is named, to the minor one at least."""


def version() -> str:
    """The version, from the only place where it stands."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


def documents(path: Path) -> list[Any]:
    """All documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def served(
    monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], environment: Mapping[str, str]
) -> Settings:
    """The settings that `llm-stream` with these arguments and variables would serve with."""
    seen: list[Settings] = []

    def serve(settings: Settings) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr(server, "serve", serve)
    done = CliRunner().invoke(main, [*arguments], env=dict(environment))
    assert done.exit_code == 0, done.output
    (settings,) = seen
    return settings


class Instruction(NamedTuple):
    """One instruction of a Dockerfile, its lines joined."""

    name: str
    text: str


class Image(NamedTuple):
    """What the last stage of the Dockerfile says of the image."""

    instructions: list[Instruction]

    def last(self, name: str) -> str:
        """The last instruction of this name."""
        return [each.text for each in self.instructions if each.name == name][-1]

    @property
    def environment(self) -> dict[str, str]:
        """Its variables."""
        pairs = shlex.split(self.last("ENV"))
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def command(self) -> list[str]:
        """What runs in it, without the name of the program."""
        assert json.loads(self.last("ENTRYPOINT")) == ["llm-stream"]
        arguments: list[str] = json.loads(self.last("CMD"))
        return arguments


def instructions() -> list[Instruction]:
    """All of the Dockerfile."""
    text = re.sub(r"^#.*\n", "", (TOP / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line]


def image() -> Image:
    """The image as it is made."""
    found = instructions()
    start = max(place for place, each in enumerate(found) if each.name == "FROM")
    return Image(found[start:])
