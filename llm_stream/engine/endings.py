"""The last things about a run: an error that can always be told, and no leftovers."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from llm_stream.engine.runinfo import DescribeError, RunInfo, State
from llm_stream.errors import InternalError, Problem, StreamError
from llm_stream.payloads import Payload

log = logging.getLogger(__name__)

Ended = TypeVar("Ended")

LAST_RESORT: Final[Problem] = {
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


def failed(error: BaseException, info: RunInfo, describe: DescribeError) -> Payload:
    """The terminal payload of a run that this error has ended."""
    shown = tellable(error, info.id)
    return {"type": "run.failed", "error": describe(shown, run=info.id, request=info.request)}


def raised(task: asyncio.Task[Any]) -> BaseException | None:
    """What has ended the task, if anything has; after `exception` it would keep the traceback."""
    if task.exception() is None:
        return None
    try:
        task.result()
    except BaseException as error:  # noqa: BLE001 - it is looked at, and not to be handled
        return error
    return None


def forget_frames(error: BaseException | None) -> None:
    """Drop tracebacks, whose frames would keep the whole model call alive until retention ends."""
    waiting, seen = [error], set[int]()
    while waiting:
        known = waiting.pop()
        if known is not None and id(known) not in seen:
            seen.add(id(known))
            known.__traceback__ = None
            waiting += [known.__cause__, known.__context__]


def tell(callbacks: Iterable[Callable[[Ended], None]], run: Ended, name: str) -> None:
    """Tell of a run's end; who fails at it must not keep the others from hearing of it."""
    for callback in callbacks:
        try:
            callback(run)
        except Exception:
            log.exception("what follows the end of %s failed", name)
