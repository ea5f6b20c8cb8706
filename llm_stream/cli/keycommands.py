"""`llm-stream keys`: the keys of providers, without ever showing one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_stream.cli.configured import Refused, print_table, settings_of, with_config

if TYPE_CHECKING:
    from llm_stream.config import Settings
    from llm_stream.models.wires.providers import Providers


@click.group()
def keys() -> None:
    """Keep, list and try the keys of model providers. None is ever shown.

    Keys come from the environment (OPENAI_API_KEY), or from llm's own store, which this writes
    and a running service reads again by itself.
    """


def providers_of(settings: "Settings") -> "Providers":
    """The configured providers with the keys they have."""
    from llm_stream.web.parts import make_providers

    return make_providers(settings)


@keys.command(name="set")
@with_config
@click.argument("provider")
def set_(config: Path | None, provider: str) -> None:
    """Put a provider's key into llm's store; it is asked for, or read from standard input."""
    from llm_stream.models.keys import keys_path, store_key

    known = settings_of(config).providers
    if provider not in known:
        raise Refused(f"there is no provider {provider!r}; there are {', '.join(sorted(known))}")
    value = (
        click.prompt(f"Key of {provider}", hide_input=True)
        if sys.stdin.isatty()
        else sys.stdin.readline()
    )
    try:
        store_key(keys_path(), provider, value)
    except ValueError as error:
        raise Refused(f"not stored: {error}") from error
    except OSError as error:
        raise Refused(f"not stored: {error.strerror}") from error
    click.echo(f"stored the key of {provider} in {keys_path()}")


@keys.command(name="list")
@with_config
def list_(config: Path | None) -> None:
    """Say of each provider where it is and where its key comes from."""
    from llm_stream.errors import MissingKey

    settings = settings_of(config)
    providers = providers_of(settings)
    rows = [("PROVIDER", "SPEAKS", "ADDRESS", "KEY")]
    for name, section in sorted(settings.providers.items()):
        endpoint = providers.endpoint(name)
        if endpoint is None:
            rows.append((name, section.kind, f"gone: {section.successor} answers", "-"))
            continue
        try:
            source = endpoint.key.source() or "none needed"
        except MissingKey:
            source = f"missing: {' or '.join(section.api_key_env)}"
        rows.append((name, section.kind, section.base_url, source))
    print_table(rows)
    if providers.keyring.fault:
        raise Refused(f"llm's store could not be read: {providers.keyring.fault}")


@keys.command()
@with_config
@click.argument("names", nargs=-1, metavar="[PROVIDER]...")
def check(config: Path | None, names: tuple[str, ...]) -> None:
    """Ask providers for their list of models, with their keys; it costs nothing.

    Without PROVIDER, all that have a key. Exit code 1 if one refuses its key or cannot be asked.
    """
    import asyncio

    settings = settings_of(config)
    unknown = sorted(set(names) - set(settings.providers))
    if unknown:
        raise Refused(f"there is no provider {', '.join(map(repr, unknown))}")
    sys.exit(asyncio.run(tried(settings, names)))


async def tried(settings: "Settings", names: tuple[str, ...]) -> int:
    """Print a line for each provider that was asked; 1 if one of them is not fine."""
    from llm_stream.errors import MissingKey, StreamError
    from llm_stream.models.wires.keycheck import check_key

    providers = providers_of(settings)
    code = 0
    try:
        for name in names or sorted(settings.providers):
            endpoint = providers.endpoint(name)
            if endpoint is None:
                continue
            try:
                source = endpoint.key.source()
                if source is None and not names:
                    continue
                await check_key(endpoint, settings.providers[name].kind)
            except MissingKey as error:
                if names:
                    click.echo(f"wrong  {name}: {error.detail}")
                    code = 1
            except StreamError as error:
                click.echo(f"wrong  {error.detail}")
                code = 1
            else:
                click.echo(f"ok     {name}: {source or 'no key needed'}")
    finally:
        await providers.close()
    return code
