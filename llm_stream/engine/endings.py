"""The last things about a run: every error there is, one for all cases, and no leftovers."""

from collections.abc import Mapping
from typing import Any, Final

from llm_stream.engine.runinfo import State
from llm_stream.errors import InternalError, StreamError

LAST_RESORT: Final[dict[str, Any]] = {
    "type": "/docs/errors#internal_error",
    "title": "Internal error",
    "status": 500,
    "detail": "The service failed while it described the end of this run. Its log has the details.",
    "code": InternalError.code,
    "retryable": True,
    "request": "",
}
"""The problem of a run whose end could not be described: constant, so that it always can be."""

STATES: Final[Mapping[str, State]] = {
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
}
"""Type of the terminal event -> state of the run."""


def tellable(error: BaseException, run: str) -> StreamError:
    """The error itself if it is one of ours, else one that says nothing of it."""
    if isinstance(error, StreamError):
        return error
    return InternalError(
        "The service failed while it worked on this run. Its log has the details.", run=run
    )


def forget_frames(error: BaseException | None) -> None:
    """Drop tracebacks, whose frames would keep the whole model call alive until retention ends."""
    waiting, seen = [error], set[int]()
    while waiting:
        known = waiting.pop()
        if known is not None and id(known) not in seen:
            seen.add(id(known))
            known.__traceback__ = None
            waiting += [known.__cause__, known.__context__]


def concrete_errors() -> frozenset[type[StreamError]]:
    """Every error class that is raised, i.e. the leaves of the tree."""
    every: list[type[StreamError]] = [StreamError]
    for cls in every:
        every += cls.__subclasses__()
    return frozenset(cls for cls in every if not cls.__subclasses__())
