"""What commands have in common: the option `--config`, the settings behind it, and refusing."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click

from llm_stream.cli.exitcodes import UNREACHABLE
from llm_stream.cli.textcells import cells, harmless, one_line, padded

if TYPE_CHECKING:
    from llm_stream.config import Settings

URL_VARIABLE: Final = "LLM_STREAM_URL"
KEY_VARIABLE: Final = "LLM_STREAM_KEY"
"""Where a service is, and the client key to show it; the Python client reads the same."""

with_config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="LLM_STREAM_CONFIG",
    show_envvar=True,
    help="TOML file with settings; without one, the defaults hold.",
)


class Refused(click.ClickException):
    """The command cannot do what was asked; the lines say why. Exit code 1."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the lines on standard error; what is in them may come from a stranger."""
        click.echo(harmless(self.message), file=file, err=True)


class Unanswered(Refused):
    """No service is there."""

    exit_code = UNREACHABLE


def unanswered(url: str, reason: object) -> Unanswered:
    """Nobody answers at this address."""
    return Unanswered(
        f"nobody answers at {url}: {reason}",
        "Start it with `llm-stream serve`, or say with --url where it is.",
    )


def settings_of(config: Path | None, **sections: dict[str, object]) -> "Settings":
    """The configuration; options that were not given (None) change nothing.

    Raises:
        Refused: the configuration cannot be used.
    """
    from llm_stream.config import ConfigError, load

    overrides = {
        section: {key: value for key, value in options.items() if value is not None}
        for section, options in sections.items()
    }
    try:
        return load(config, overrides)
    except ConfigError as error:
        raise Refused(*error.faults) from error


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as their widest cell.

    What a terminal would obey instead of showing it - titles come from callers - is replaced.
    """
    shown = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(cells, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        filled = (padded(cell, width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(filled).rstrip())
