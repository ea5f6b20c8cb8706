"""`llm-stream clients`: who may use the service."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llm_stream.cli.configured import Refused, print_table, settings_of, with_config

if TYPE_CHECKING:
    from llm_stream.access.clientfile import ClientRecord


@click.group()
def clients() -> None:
    """Make, list and revoke client keys. A running service notices within two seconds.

    As soon as there is a client, every request needs a key, unless auth.required says otherwise.
    """


def _path(config: Path | None) -> Path:
    from llm_stream.web.parts import clients_path

    return clients_path(settings_of(config))


@contextmanager
def _edited(config: Path | None) -> Iterator[dict[str, "ClientRecord"]]:
    from llm_stream.access.clientfile import ClientFileFault, editing

    try:
        with editing(_path(config)) as records:
            yield records
    except (ClientFileFault, OSError) as error:
        raise Refused(f"not done: {error}") from error


def _limits(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, kind, words in (
        ("tokens-per-day", click.IntRange(1), "Tokens a day of UTC."),
        ("tokens-per-minute", click.IntRange(1), "Tokens a minute."),
        ("sockets", click.IntRange(1), "WebSockets at once."),
        ("concurrent-runs", click.IntRange(1), "Runs at once."),
        ("runs-per-second", click.FloatRange(0, min_open=True), "Starts a second."),
    ):
        command = click.option(f"--{name}", type=kind, help=f"{words} Without it, the usual.")(
            command
        )
    return command


@clients.command()
@with_config
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="What the key may do; may be repeated.")
@click.option("--model", "models", multiple=True, help="Only these models, aliases or patterns.")
@click.option("--template", "templates", multiple=True, help="Only these templates or patterns.")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="How long the key holds.")
@_limits
def add(config: Path | None, name: str, *, days: float | None, **options: Any) -> None:
    """Make a key for the client NAME and print it, this once.

    Scopes: run:create, run:read, run:cancel, cache:write, metrics, admin; without --scope the
    first four.
    """
    from pydantic import ValidationError

    from llm_stream.access.clientfile import ClientRecord, now
    from llm_stream.access.clientkey import new_key
    from llm_stream.access.principal import DEFAULT_SCOPES, SCOPES

    scopes = options.pop("scopes")
    models, templates = options.pop("models"), options.pop("templates")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise Refused(f"no such scope: {', '.join(unknown)}; there are {', '.join(SCOPES)}")
    key, moment = new_key(), now()
    try:
        said = {
            "name": name,
            "hash": key.hash,
            "scopes": scopes or DEFAULT_SCOPES,
            "created_at": moment,
            "expires_at": None if days is None else moment + timedelta(days=days),
            "models": models or None,
            "templates": templates or None,
            "limits": options,
        }
        record = ClientRecord.model_validate(said)
    except (ValidationError, OverflowError) as error:
        raise Refused("not done: NAME has 1 to 100 characters, --days ends before 9999") from error
    with _edited(config) as records:
        records[key.id] = record
    click.echo(f"client {key.id} ({name}); its key is shown this once:", err=True)
    click.echo(key.text)
    required = settings_of(config).auth.required
    if required is False:
        click.echo("note: auth.required is false, so no request needs a key", err=True)


@clients.command(name="list")
@with_config
def list_(config: Path | None) -> None:
    """Say who has a key, what it may do, and until when."""
    from llm_stream.access.clientfile import ClientFileFault, now, read_clients

    try:
        records = read_clients(_path(config))
    except (ClientFileFault, OSError) as error:
        raise Refused(str(error)) from error
    moment = now()
    rows = [("ID", "NAME", "STATE", "SCOPES", "CREATED", "EXPIRES")]
    for client_id, record in sorted(records.items(), key=lambda item: item[1].created_at):
        rows.append(
            (
                client_id,
                record.name,
                record.state(moment),
                " ".join(record.scopes),
                _day(record.created_at),
                _day(record.expires_at),
            )
        )
    print_table(rows)


@clients.command()
@with_config
@click.argument("client")
def revoke(config: Path | None, client: str) -> None:
    """Let CLIENT, an id or a name, do nothing any more; its streams end within seconds."""
    from llm_stream.access.clientfile import now

    with _edited(config) as records:
        found = [key for key, r in records.items() if client in {key, r.name} and not r.revoked_at]
        if len(found) != 1:
            raise Refused(
                f"there is no client {client!r} with a key"
                if not found
                else f"{len(found)} clients have that name; say which: {', '.join(found)}"
            )
        (client_id,) = found
        records[client_id] = records[client_id].model_copy(update={"revoked_at": now()})
    click.echo(f"revoked {client_id} ({records[client_id].name})")


def _day(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
