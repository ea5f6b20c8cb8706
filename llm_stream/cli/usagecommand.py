"""`llm-stream usage`: what a running service was asked, and what that has cost."""

import json
from typing import Any, Final
from urllib.parse import urlencode

import click

from llm_stream.cli.cachecommands import as_json
from llm_stream.cli.configured import print_table
from llm_stream.cli.place import Place, with_place

FIGURES: Final = (
    "CALLS", "CACHED", "JOINED", "SUCCESS", "TOKENS IN", "TOKENS OUT", "COST", "P50", "P99",
    "FIRST P50",
)  # fmt: skip
"""Heads of the columns behind those of the group."""


@click.command()
@with_place
@click.option(
    "--by",
    default="model",
    show_default=True,
    metavar="LIST",
    help="What to group by, separated by commas: model, tier, recipe, client.",
)
@click.option(
    "--since",
    metavar="WHEN",
    help="Only what ended since then: 24h, 7d, 2026-11-27T09:00Z. Without it, all of the history.",
)
@as_json
def usage(place: Place, by: str, since: str | None, *, as_json: bool) -> None:
    """Show calls, tokens, cost and latency by group, the most expensive in tokens first.

    A figure with ~ has estimates in it: models report no tokens of calls that were cut short.
    """
    query = {"group_by": by} | ({} if since is None else {"since": since})
    found = place.service().call("GET", f"/v1/usage?{urlencode(query)}", holding="groups")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found["total"]["calls"] and not found["groups"]:
        click.echo("no calls")
        return
    names = found["group_by"]
    rows = [(*(name.upper() for name in names), *FIGURES)]
    for group in found["groups"]:
        rows.append((*(group[name] or "-" for name in names), *cells(group)))  # noqa: PERF401 - rows begin with their head
    if names:
        rows.append(("total", *[""] * (len(names) - 1), *cells(found["total"])))
    else:
        rows.append(cells(found["total"]))
    print_table(rows)
    if lost := found["not_recorded"]:
        click.echo(f"\n{lost} runs could not be recorded since the service was started")
    if unpriced := found["total"]["unpriced_tokens"]:
        click.echo(f"\n{unpriced} tokens are of models without a price (cache.prices)")


def cells(group: dict[str, Any]) -> tuple[str, ...]:
    """A group's figures as a row."""
    latency, first = group["latency_ms"] or {}, group["first_token_ms"] or {}
    cost, estimated = group["cost"], group["estimated_cost"]
    return (
        str(group["calls"]),
        part(group["cached_share"]),
        part(group["joined_share"]),
        part(group["success_share"]),
        about(group["input_tokens"], group["estimated_input_tokens"]),
        about(group["output_tokens"], group["estimated_output_tokens"]),
        "-" if cost is None else f"{'~' if estimated else ''}{cost + estimated:.4f}",
        time(latency.get("p50")),
        time(latency.get("p99")),
        time(first.get("p50")),
    )


def part(share: float | None) -> str:
    """A share as per cent."""
    return "-" if share is None else f"{share:.1%}"


def about(reported: int, estimated: int) -> str:
    """Tokens, marked if some of them are an estimate."""
    return f"{'~' if estimated else ''}{reported + estimated}"


def time(ms: int | None) -> str:
    """A time that people can read: 8ms, 1.25s."""
    if ms is None:
        return "-"
    return f"{ms}ms" if ms < 1000 else f"{ms / 1000:.2f}s"
