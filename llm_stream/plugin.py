"""What llm's own users get: a model, commands, and the service's templates.

`llm -m smollm2 'hi'`, `llm stream serve`, `llm -t stream:summarize`. An entry point of the group
`llm`: it imports nothing heavy, and loads nothing before that is used.
"""

import copy
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import click
import llm

from llm_stream.models.llamacpp import LIBRARY
from llm_stream.models.local import LocalModel
from llm_stream.models.weights import weights_path

NAME: Final = "stream"
"""Of the command, and before the colon of templates."""

FRESH: Final = frozenset({"check", "models", "serve"})
"""Commands that load the plugins that are configured; in this process llm has loaded all."""


@cache
def embedded_model() -> LocalModel:
    """The one model of this process; llm registers anew for each look at its models."""
    return LocalModel(weights=weights_path())


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register `smollm2`, async and sync, if its library is installed.

    Its weights may be missing: then prompting it says how to fetch them.
    """
    if importlib.util.find_spec(LIBRARY) is not None:
        model = embedded_model()
        register(model.twin(), model)


class Mounted(click.Group):
    """The commands of `llm-stream` below another program; imported when one of them is meant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them."""
        return _program().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them."""
        return _program().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """One of them and its arguments; it may want a process that llm has not filled."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and name in FRESH:
            words = [name, *rest]  # parsing them uses them up
            command = copy.copy(command)
            command.callback = lambda **_: _replace_process(words)
        return name, command, rest


def _program() -> click.Group:
    from llm_stream.cli import main  # noqa: PLC0415 - `llm` starts for other reasons mostly

    return main


def _replace_process(arguments: list[str]) -> None:
    # -P: what lies in the current folder is not to be imported. No shell reads this.
    ours = [sys.executable, "-P", "-m", "llm_stream", *arguments]
    os.execv(sys.executable, ours)  # noqa: S606 # nosec B606


@llm.hookimpl
def register_commands(cli: Any) -> None:
    """Add `llm stream ...`, which is `llm-stream ...`."""
    words = "Serve streaming answers, and ask for them (llm-stream)."
    cli.add_command(Mounted(NAME, help=words))


@llm.hookimpl
def register_template_loaders(register: Callable[..., None]) -> None:
    """Make the service's templates known as `stream:breakdown` and so on."""
    register(NAME, load_template)


def load_template(template_path: str) -> Any:
    """A template from the configured folder, or of those that ship with the service.

    Raises:
        ValueError: there is none of that name, or it cannot be used.
    """
    from llm_stream.config import load  # noqa: PLC0415 - as above
    from llm_stream.recipes.prompts import PromptLibrary  # noqa: PLC0415
    from llm_stream.resources import resource  # noqa: PLC0415

    config = os.environ.get("LLM_STREAM_CONFIG")
    folder = load(Path(config) if config else None).templates.folder
    library, faults = PromptLibrary.inspect(Path(folder) if folder else resource("templates"))
    for template in library:
        if template.ref.name == template_path:
            return template.template
    for fault in faults:
        if str(fault).startswith(f"{template_path}.yaml:"):
            raise fault
    known = ", ".join(template.ref.name for template in library)
    raise ValueError(f"there is no template {template_path!r}; there are {known}")
