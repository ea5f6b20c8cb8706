"""`llm-stream cache`: look at what a running service keeps, and drop from it."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import click

from llm_stream.cli.completing import models, recipes, templates
from llm_stream.cli.configured import Refused, print_table
from llm_stream.cli.place import Place, with_place

if TYPE_CHECKING:
    from llm_stream.cli.calling import RunningService

KINDS: Final = ("tag", "model", "recipe", "template")
"""What entries can have in common."""

COMPLETED: Final = {"model": models, "recipe": recipes, "template": templates}
"""Kinds whose names a shell can complete."""

KEY_DIGITS: Final = 12
"""Digits of a key that `ls` shows; its key has 64."""

PREFIX_DIGITS: Final = 8
"""Fewest digits of a key that `rm` takes."""

LISTED: Final = 1000
"""Most entries in one list of the service."""

Command = Callable[..., None]


def with_kinds(command: Command) -> Command:
    """Options that say which entries are meant."""
    for kind in reversed(KINDS):
        named = f"Entries {'with' if kind == 'tag' else 'of'} this {kind}."
        completed = COMPLETED.get(kind)
        option = click.option(f"--{kind}", metavar="NAME", help=named, shell_complete=completed)
        command = option(command)
    return command


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def chosen(kinds: dict[str, str | None]) -> dict[str, str]:
    """The kind that was given, and its name.

    Raises:
        click.UsageError: there are several.
    """
    given = {kind: name for kind, name in kinds.items() if name is not None}
    if len(given) > 1:
        raise click.UsageError(f"give one of {', '.join(f'--{kind}' for kind in given)}")
    return given


@click.group()
def cache() -> None:
    """Look at the cache of a running service, and drop from it."""


@cache.command()
@with_place
@with_kinds
@click.option(
    "--limit", type=click.IntRange(1, LISTED), default=50, show_default=True, help="Most entries."
)
@as_json
def ls(place: Place, limit: int, *, as_json: bool, **kinds: str | None) -> None:
    """List entries, newest first."""
    page = listed(place.service(), chosen(kinds), limit)
    if as_json:
        click.echo(json.dumps(page, indent=2))
        return
    if not page["entries"]:
        click.echo("no entries")
        return
    heads = (
        "KEY",
        "RECIPE",
        "MODEL",
        "TEMPLATE",
        "TAGS",
        "AGE",
        "LEFT",
        "BYTES",
        "TOKENS",
        "TITLE",
    )
    print_table([heads, *map(cells, page["entries"])])
    if page["total"] > len(page["entries"]):
        click.echo(f"\n{len(page['entries'])} of {page['total']} entries; --limit shows more")


def listed(service: "RunningService", kinds: dict[str, str], limit: int) -> Any:
    """A page of entries, as GET /v1/cache answers it."""
    return service.call(
        "GET", f"/v1/cache?{urlencode({**kinds, 'limit': limit})}", holding="entries"
    )


def cells(entry: dict[str, Any]) -> tuple[str, ...]:
    """An entry as a row."""
    tokens = [entry["usage"][name] for name in ("input_tokens", "output_tokens")]
    known = [count for count in tokens if count is not None]
    left = entry["ttl_seconds"]
    return (
        entry["key"][:KEY_DIGITS],
        entry["recipe"],
        entry["model"],
        (entry["template"] or "-").partition("@")[0],
        ",".join(entry["tags"]) or "-",
        span(entry["age_seconds"]),
        span(left) if left >= 0 else "stale",
        str(entry["bytes"]),
        str(sum(known)) if known else "-",
        entry["title"],
    )


def span(seconds: int) -> str:
    """A time in one unit, rounded down: 90s, 5m, 3h, 2d."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


@cache.command()
@with_place
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@with_kinds
@click.option("--all", "everything", is_flag=True, help="All entries.")
@click.option(
    "--older-than",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Only those that are so old; alone: of all entries.",
)
def rm(
    place: Place,
    keys: tuple[str, ...],
    older_than: float | None,
    *,
    everything: bool,
    **kinds: str | None,
) -> None:
    """Drop entries by key, by what they have in common, or by age.

    A KEY may be cut short to 8 digits or more, as long as only one entry begins so. Dropping by
    name or all, without an age, also keeps answers that are being computed from being kept.
    """
    named: dict[str, object] = {**chosen(kinds)}
    if everything:
        named["all"] = True
    if older_than is not None:
        named["older_than_seconds"] = older_than
    if bool(keys) == bool(named) or (everything and len(named.keys() & {*KINDS})):
        raise click.UsageError("give keys, or one of --tag, --model, --recipe, --template, --all")
    service = place.service()
    if named:
        dropped = service.call("POST", "/v1/cache/invalidate", named, holding="dropped")["dropped"]
    else:
        dropped = 0
        for key in whole_keys(service, keys):
            dropped += service.call("DELETE", f"/v1/cache/{key}", holding="dropped")["dropped"]
    click.echo(f"dropped {dropped} {'entry' if dropped == 1 else 'entries'}")


def whole_keys(service: "RunningService", prefixes: Sequence[str]) -> list[str]:
    """The keys that begin so, each once; looked up before any is dropped.

    Raises:
        Refused: a prefix is too short, or not one entry begins with it.
    """
    for prefix in prefixes:
        if len(prefix) < PREFIX_DIGITS:
            raise Refused(f"{prefix}: too short, give {PREFIX_DIGITS} digits of the key or more")
    keys = [entry["key"] for entry in listed(service, {}, LISTED)["entries"]]
    whole: dict[str, None] = {}
    for prefix in prefixes:
        found = [key for key in keys if key.startswith(prefix.lower())]
        if len(found) > 1:
            raise Refused(f"{prefix}: {len(found)} entries begin so, give more of the key")
        if not found:
            raise Refused(f"{prefix}: no entry begins so among the newest {LISTED}")
        whole[found[0]] = None
    return list(whole)


@cache.command()
@with_place
@as_json
def stats(place: Place, *, as_json: bool) -> None:
    """Show how often the cache was of use since the service was started."""
    page = listed(place.service(), {}, 1)
    # Where the backend does not count for the process, the list knows how many there are.
    counted = page["statistics"] | {"entries": page["total"]}
    if as_json:
        click.echo(json.dumps(counted, indent=2))
        return
    rate = counted.pop("hit_rate")
    shown = {"hit rate": "-" if rate is None else f"{rate:.1%}"}
    for name, count in counted.items():
        shown[name.replace("_", " ")] = "-" if count is None else str(count)
    print_table(list(shown.items()))
