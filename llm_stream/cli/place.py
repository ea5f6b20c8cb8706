"""Which running service a command speaks to: `--url`, `--key`, or as `[server]` is configured."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from llm_stream.cli.configured import (
    KEY_VARIABLE,
    URL_VARIABLE,
    Refused,
    settings_of,
    with_config,
)

if TYPE_CHECKING:
    from llm_stream.cli.calling import RunningService
    from llm_stream.config import Settings

EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here
"""Hosts that mean all addresses of a machine, and the one to call there."""


@dataclass(frozen=True)
class Place:
    """Where the service is said to be, and the client key to show there, "" for none."""

    url: str | None
    key: str
    config: Path | None

    def address(self) -> str:
        """The address, http or https, without a slash at its end.

        Raises:
            Refused: what was said is no address, or nothing was and the configuration has none.
        """
        url = self.url or url_of(settings_of(self.config))
        if "@" in url:  # not repeated: a password may stand before it
            raise Refused(f"--url has a name in it: who asks is said by {KEY_VARIABLE}.")
        try:
            parts = urlsplit(url)
            host = parts.hostname if parts.port != 0 else None
        except ValueError:
            host = None
        if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
            raise Refused(f"--url {url} is no address: http://host:port is meant.")
        return url.rstrip("/")

    def service(self, seconds: float | None = None) -> "RunningService":
        """The service, for short calls, each of which takes no longer than so many seconds."""
        from llm_stream.cli.calling import TIMEOUT_SECONDS, RunningService

        return RunningService(self.address(), self.key, seconds or TIMEOUT_SECONDS)


def url_of(settings: "Settings") -> str:
    """Where a service with these settings is called from its own machine.

    Raises:
        Refused: its port is any free one.
    """
    host, port = settings.server.host, settings.server.port
    if not port:
        raise Refused("server.port is 0, any free one: give the service's address with --url.")
    host = EVERY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def with_place(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say which service is meant; the command gets them as `place`."""

    @wraps(command)
    def placed(*, url: str | None, key: str | None, config: Path | None, **rest: Any) -> Any:
        shown = (key or "").strip()
        if not (shown.isascii() and shown.isprintable()):
            raise Refused("--key has characters in it that no client key has.")
        return command(place=Place(url, shown, config), **rest)

    where = click.option(
        "--url",
        envvar=URL_VARIABLE,
        show_envvar=True,
        help="Where the service is; without it, as [server] is configured.",
    )
    who = click.option(
        "--key",
        envvar=KEY_VARIABLE,
        show_envvar=True,
        help="Client key to show; in the environment nobody else sees it.",
    )
    return where(who(with_config(placed)))
