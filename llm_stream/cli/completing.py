"""Names for a shell to complete, from the running service if it answers at once, else none."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from llm_stream.cli.place import Place

PATIENCE_SECONDS: Final = 0.5
"""A person has pressed a key and waits."""

RECIPES: Final = ("generate", "evaluate", "breakdown", "reason", "batch")

RECIPE_OF_COMMAND: Final = {"run": "generate", "evaluate": "evaluate", "breakdown": "breakdown"}
"""Commands that take templates of one recipe only."""


Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def silently(completer: Completer) -> Completer:
    """Nothing instead of an error: a shell's prompt is no place to tell it."""

    @wraps(completer)
    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            return completer(context, parameter, incomplete)
        except Exception:  # noqa: BLE001 - whatever answered there
            return []

    return complete


@silently
def models(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Aliases of models, then their ids."""
    told = _asked(context, "/v1/models", "data")
    names = {alias: f"stands for {model}" for alias, model in told["aliases"].items()}
    names |= {model["id"]: "" for model in told["data"]}
    return _matching(names, incomplete)


@silently
def templates(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of templates, of those that the command can use."""
    wanted = RECIPE_OF_COMMAND.get(context.command.name or "")
    names = {
        each["name"]: " ".join(each["variables"])
        for each in _asked(context, "/v1/templates", "templates")["templates"]
        if wanted in {None, each["recipe"]}
    }
    return _matching(names, incomplete)


def recipes(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of recipes, which are the same everywhere."""
    return _matching(dict.fromkeys(RECIPES, ""), incomplete)


@silently
def runs(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Ids of runs, the newest first."""
    told = _asked(context, "/v1/runs", "runs")["runs"]
    return _matching({run["id"]: f"{run['recipe']} {run['state']}" for run in told}, incomplete)


def _asked(context: click.Context, path: str, holding: str) -> dict[str, Any]:
    said = context.params
    place = Place(said.get("url"), (said.get("key") or "").strip(), said.get("config"))
    told: dict[str, Any] = place.service(PATIENCE_SECONDS).call("GET", path, holding=holding)
    return told


def _matching(names: dict[str, str], incomplete: str) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=words or None)
        for name, words in names.items()
        if name.startswith(incomplete)
    ]
