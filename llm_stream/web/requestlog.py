"""The line in the log of each request that has ended, by whichever way it was answered."""

import time
from typing import Final

import structlog

QUIET: Final = frozenset({"/livez", "/readyz", "/metrics", "/static/{path}", "/docs/{path}"})
"""Patterns of paths that are asked for all the time, and have no line."""

log = structlog.get_logger("llm_stream.request")


def log_request(  # noqa: PLR0913 - the fields of the line
    request: str, method: str, path: str, *, status: int, began: float, about: dict[str, str]
) -> None:
    """Write the line, unless the path is a quiet one.

    Args:
        request: its id.
        method: of HTTP.
        path: pattern of its route.
        status: of the answer; 499 where the client went away before there was one.
        began: when it came, by `time.perf_counter`.
        about: the `run` it is about, and how the `cache` took part, where that is known.
    """
    if path in QUIET:
        return
    log.info(
        "request",
        request=request,
        method=method,
        path=path,
        status=status,
        ms=round((time.perf_counter() - began) * 1000, 1),
        **about,
    )
