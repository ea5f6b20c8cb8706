"""Structured logs: JSON or console, one line a request and one a run, no secret, no prompt text.

Everything that goes through the standard library's logging comes out the same way.
"""

import atexit
import json
import logging
import sys
import time
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import orjson
import structlog

from llm_stream.engine.run import Run
from llm_stream.errors import (
    MissingKey,
    ModelResting,
    ModelUnavailable,
    StreamError,
    UpstreamError,
    UpstreamTimedOut,
)
from llm_stream.loglines import InOrder, Lines
from llm_stream.models.faults import redact

Line = MutableMapping[str, Any]
"""What a line is made of, by the names of its fields."""

# Without local variables: they hold prompts.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


# Finds the name of a logger that was asked for without one.
_LOGGERS: Final = structlog.stdlib.LoggerFactory(ignore_frame_names=[__name__])


class Redacting(structlog.stdlib.ProcessorFormatter):
    """The last step of every line, whoever wrote it: what looks like a secret leaves it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return redact(super().format(record))


def configure(
    level: str,
    style: Literal["auto", "json", "console"],
    stream: TextIO = sys.stderr,
    *,
    levels: Mapping[str, str] | None = None,
) -> None:
    """Set up logging for the process; once, before anything logs.

    Args:
        level: name of the lowest level shown ("info").
        style: `auto` is console on a terminal and JSON elsewhere.
        stream: where lines go.
        levels: other levels, by the name of a logger; they hold for those below it as well.
    """
    json_lines = style == "json" or (style == "auto" and not stream.isatty())
    last: list[Any] = (
        [_as_line]
        if json_lines
        else [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    stamp = _Stamp()
    for name, other in (levels or {}).items():
        logging.getLogger(name).setLevel(other.upper())
    least = lowest(level, *(levels or {}).values())
    Lines.stream = stream
    atexit.register(Lines.write)
    structlog.configure(
        processors=[
            *([structlog.stdlib.filter_by_level] if levels else []),
            stamp,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=_lines,
        cache_logger_on_first_use=True,
    )
    handler = InOrder(stream)
    handler.setFormatter(
        Redacting(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                stamp.timed,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _lines(*names: str) -> Lines:
    return Lines(_LOGGERS(*names))


class _Stamp:
    """Level, logger and time of a line, which structlog adds in three steps; a request waits."""

    def __init__(self) -> None:
        # One reference, for threads log as well.
        self._told = (-1, "")

    def __call__(self, logger: Any, method: str, event: Line) -> Line:
        """A processor, as structlog has them; `method` is the name of the level."""
        event["level"] = method
        event["logger"] = logger.name
        return self.timed(logger, method, event)

    def timed(self, _logger: Any, _method: str, event: Line) -> Line:
        """A processor as well: the time alone."""
        second, micros = divmod(time.time_ns() // 1000, 1_000_000)
        known, text = self._told
        if second != known:
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._told = second, text
        event["timestamp"] = f"{text}.{micros:06d}Z"
        return event


def _as_line(logger: Any, method: str, event: Line) -> str:
    """An event as JSON of ASCII, which every stream can take; it fails for nothing."""
    if "exc_info" in event:
        event = dict(_TRACEBACKS(logger, method, event))
    try:
        line = orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):  # half a character, a huge number
        line = b"\xff"
    if line.isascii():
        return line.decode()
    try:
        return json.dumps(event, default=repr, skipkeys=True)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(
            {"event": ascii(event.get("event")), "unreadable": sorted(map(ascii, event))}
        )


def lowest(*levels: str) -> str:
    """Of names of levels the one that lets most through."""
    return min(levels, key=_number)


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


class RunLog:
    """Logs one line at the end of every run.

    Args:
        titles: whether it has the first words of the prompt.
    """

    def __init__(self, *, titles: bool = False) -> None:
        self._titles = titles
        self._log = structlog.get_logger("llm_stream.run")

    def run_started(self, run: Run) -> None:
        """See `RunObserver`; only the end is logged."""

    def run_finished(self, run: Run) -> None:
        """Log what came of the run; a bug of ours with its traceback."""
        if run.superseded:
            return  # the replica that has taken it over does
        figures = run.statistics()
        fields: dict[str, Any] = {
            "run": run.id,
            "request": run.info.request,
            "recipe": run.info.recipe,
            "model": run.info.model,
            "cache": run.info.cache,
            "outcome": figures.state,
            "attempts": figures.attempts,
            "chunks": figures.chunks,
            "input_tokens": figures.input_tokens,
            "output_tokens": figures.output_tokens,
            "queued_ms": figures.queued_ms,
            "first_token_ms": figures.first_token_ms,
            "total_ms": figures.total_ms,
        }
        if run.info.parent is not None:
            fields["parent"] = run.info.parent
        if run.tally.model is not None:
            fields["answered_by"] = run.tally.model
        if self._titles:
            fields["title"] = run.info.title
        error = run.error
        if error is None:
            self._log.info("run", **fields)
        elif isinstance(error, StreamError):
            self._log.warning("run", code=error.code, **_words(error), **fields)
        else:
            self._log.error("run", code="internal_error", exc_info=error, **fields)


OWN_WORDS: Final = (MissingKey, ModelResting, ModelUnavailable, UpstreamTimedOut)
"""Errors of models that tell nothing a model or a provider has said."""


def _words(error: StreamError) -> dict[str, Any]:
    """What is logged of an error; what a model or a provider has said may quote the prompt."""
    if not isinstance(error, UpstreamError) or isinstance(error, OWN_WORDS):
        return {"detail": error.detail}
    words: dict[str, Any] = {}
    if error.__cause__ is not None:
        words["cause"] = type(error.__cause__).__name__
    if error.status is not None:
        words |= {"upstream_status": error.status, "upstream_request": error.upstream_request}
    return words
