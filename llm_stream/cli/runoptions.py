"""The options of all commands that start runs: what is asked, and how the answer is read."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import click

from llm_stream.cli.completing import models, runs, templates
from llm_stream.cli.exitcodes import INTERRUPTED
from llm_stream.cli.material import said_of, token, value_of
from llm_stream.cli.place import with_place

Command = Callable[..., Any]

SECONDS: Final = click.FloatRange(0, min_open=True)


@dataclass(frozen=True)
class Reading:
    """How an answer is read, and what of it is shown.

    Attributes:
        shape: `text` for people, `json` the whole answer, `events` every event on a line.
        resume: the run to read instead of starting one, "" for none.
        after: the cursor it is read behind.
        detach: start the run, print its id, and leave it to itself.
        key_of_run: the `Idempotency-Key`, None for one of its own.
        wait: seconds that starting it may be tried again.
        patience: the same for reading on after a loss.
    """

    shape: str
    resume: str
    after: str
    detach: bool
    key_of_run: str | None
    wait: float
    patience: float
    quiet: bool
    verbose: bool


def with_reading(command: Command) -> Command:
    """Options about the answer; the command gets them as `reading`, and `place`."""

    @wraps(command)
    def reads(*, as_json: bool, as_events: bool, **said: Any) -> Any:
        taken = {name: said.pop(name) for name in Reading.__dataclass_fields__ if name in said}
        reading = Reading(shape=_shape(as_json=as_json, as_events=as_events), **taken)
        if reading.after != "0" and not reading.resume:
            raise click.UsageError("--after goes with --resume")
        if reading.after != "0" and as_json:
            raise click.UsageError("--json needs the whole run: leave out --after")
        if reading.resume and (reading.detach or reading.key_of_run):
            raise click.UsageError("--resume starts no run: leave out --detach, --idempotency-key")
        if reading.detach and (as_events or reading.wait):
            raise click.UsageError("--detach starts a run once: leave out --events, --wait")
        try:
            return command(reading=reading, **said)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    return _all(with_place(reads), _READING)


def _shape(*, as_json: bool, as_events: bool) -> str:
    if as_json and as_events:
        raise click.UsageError("give one of --json, --events")
    return "json" if as_json else "events" if as_events else "text"


def with_asking(command: Command) -> Command:
    """Options about the request; the command gets the fields of the body as `common`."""

    @wraps(command)
    def asks(  # noqa: PLR0913 - an option each
        *,
        model: str | None,
        option: tuple[tuple[str, str], ...],
        fallback: tuple[str, ...],
        on_failure: str | None,
        timeout: float | None,
        first_token_timeout: float | None,
        idle_timeout: float | None,
        **said: Any,
    ) -> Any:
        limits = {
            "total_seconds": timeout,
            "first_token_seconds": first_token_timeout,
            "idle_seconds": idle_timeout,
        }
        common = said_of(
            model=model,
            options={name: value_of(value) for name, value in option},
            fallback_models=list(fallback),
            on_midstream_failure=on_failure,
            timeouts=said_of(**limits),
        )
        return command(common=said.pop("common", {}) | common, **said)

    return _all(asks, _ASKING)


def with_keeping(command: Command) -> Command:
    """Options that every recipe has, batches too; they are put into `common`."""

    @wraps(command)
    def keeps(
        *,
        cache: str | None,
        cache_ttl: float | None,
        cache_tag: tuple[str, ...],
        tag: tuple[str, ...],
        on_disconnect: str | None,
        **said: Any,
    ) -> Any:
        shelf = said_of(mode=cache, ttl_seconds=cache_ttl, tags=list(cache_tag))
        common = said_of(cache=shelf, tags=list(tag), on_disconnect=on_disconnect)
        return command(common=said.pop("common", {}) | common, **said)

    return _all(keeps, _KEEPING)


def with_template(command: Command) -> Command:
    """`-t NAME`."""
    return click.option(
        "-t",
        "--template",
        metavar="NAME",
        shell_complete=templates,
        help="Template to ask by; GET /v1/templates lists them.",
    )(command)


def _all(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


_ASKING: Final = (
    click.option(
        "-m", "--model", metavar="NAME", shell_complete=models, help="Id or alias of the model."
    ),
    click.option(
        "-o",
        "--option",
        nargs=2,
        multiple=True,
        metavar="NAME VALUE",
        help="An option of the model's: -o temperature 0.2; may be repeated.",
    ),
    click.option(
        "--fallback",
        multiple=True,
        metavar="NAME",
        shell_complete=models,
        help="Model to ask when that one fails; may be repeated.",
    ),
    click.option(
        "--on-failure",
        type=click.Choice(["error", "splice", "restart"]),
        help="What follows when an answer breaks off in the middle.",
    ),
    click.option("--timeout", type=SECONDS, metavar="SECONDS", help="For a model's whole answer."),
    click.option(
        "--first-token-timeout", type=SECONDS, metavar="SECONDS", help="Until it says something."
    ),
    click.option(
        "--idle-timeout", type=SECONDS, metavar="SECONDS", help="Between two things it says."
    ),
)

_KEEPING: Final = (
    click.option(
        "--cache",
        type=click.Choice(["use", "refresh", "bypass", "only"]),
        help="use a kept answer (default); refresh: replace it; bypass: neither; only: no other.",
    ),
    click.option(
        "--cache-ttl", type=SECONDS, metavar="SECONDS", help="How long the answer stays fresh."
    ),
    click.option(
        "--cache-tag", multiple=True, metavar="NAME", help="Name to drop the answer by later."
    ),
    click.option("--tag", multiple=True, metavar="NAME", help="Label of the run in lists."),
    click.option(
        "--on-disconnect",
        type=click.Choice(["continue", "cancel"]),
        help="What becomes of the run if this command is lost; Ctrl-C always cancels it.",
    ),
)

_READING: Final = (
    click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON."),
    click.option("--events", "as_events", is_flag=True, help="Print every event, one a line."),
    click.option(
        "--detach", is_flag=True, help="Start the run, print its id, and leave it to itself."
    ),
    click.option(
        "--resume",
        default="",
        metavar="RUN",
        shell_complete=runs,
        help="Read this run instead of starting one.",
    ),
    click.option(
        "--after",
        callback=token,
        default="0",
        metavar="CURSOR",
        help="With --resume: only what is behind it.",
    ),
    click.option(
        "--idempotency-key",
        "key_of_run",
        callback=token,
        metavar="KEY",
        help="The same key and request give the same run.",
    ),
    click.option(
        "--wait",
        type=click.FloatRange(0),
        default=0.0,
        metavar="SECONDS",
        help="Try so long to start the run, where the service is away or has no room.",
    ),
    click.option(
        "--patience",
        type=click.FloatRange(0),
        default=120.0,
        show_default=True,
        metavar="SECONDS",
        help="Try so long to read on after a lost connection.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Only errors on standard error."),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        help="Thoughts, steps and failed attempts on standard error, also if it is no terminal.",
    ),
)
