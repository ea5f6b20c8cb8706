"""What can go wrong for a reader: the service's own errors by their codes, and a few of ours."""

from collections.abc import Mapping
from typing import Any, Final

from llm_stream.errors import (
    Forbidden,
    LimitReached,
    Overloaded,
    ServiceError,
    StreamError,
    Unauthenticated,
    UpstreamError,
    concrete_errors,
)

BY_CODE: Final = {error.code: error for error in concrete_errors()}
"""Code -> class, of everything the service tells."""


class ClientError(StreamError):
    """What no service has told: its absence, or an answer that is not to be trusted."""


class Unreachable(ClientError, code="unreachable", retryable=True):
    """No connection, a broken one, or one that fell silent, more often than patience lasts."""


class UnexpectedAnswer(ClientError, code="unexpected_answer"):
    """What answered is not llm-stream, or cannot be asked: a wrong address or certificate."""


class ClientClosed(ClientError, code="client_closed"):
    """The client was closed before this, or while it was under way."""


class EventsLost(ClientError, code="events_lost"):
    """The service has lost a part of the run, so what was read is not the whole of it.

    Attributes:
        after: the cursor before what is lost.
        first: the first cursor there is again; `follow(run, after=...)` reads on behind one.
    """

    after = "0"
    first = "0"


class AnswerRestarted(ClientError, code="answer_restarted"):
    """The run began its answer anew: what was read of it is void, and what follows is not."""


class TextDiffers(ClientError, code="text_differs"):
    """The text that arrived is not the text that was sent, by its SHA-256."""


class UnknownProblem(ServiceError, code="unknown_problem"):
    """An error whose code this version does not know; `problem` has all that was told."""


class UnknownUpstreamProblem(UpstreamError, code="unknown_upstream_problem"):
    """The same where the service says that a model or its provider failed."""


_BY_STATUS: Final[dict[int, type[StreamError]]] = {
    401: Unauthenticated,
    403: Forbidden,
    429: LimitReached,
    502: Unreachable,
    503: Overloaded,
    504: Unreachable,
}
"""What a proxy says when the service is gone for a moment is as good as no connection."""


def error_of(problem: Mapping[str, Any]) -> StreamError:
    """The error that a problem object tells of (docs/errors.md).

    Its `problem` is the object itself. A code that is not known gives `UnknownProblem`.
    """
    code = problem.get("code", "")
    unknown = UnknownUpstreamProblem if "upstream_status" in problem else UnknownProblem
    error = BY_CODE.get(code, unknown)(
        str(problem.get("detail") or problem.get("title") or "The service gave no reason."),
        field=problem.get("field"),
        retry_after_ms=problem.get("retry_after_ms"),
        run=problem.get("run"),
    )
    error.problem = problem
    error.status = problem.get("upstream_status")
    error.upstream_request = problem.get("upstream_request")
    return error


def error_of_status(status: int, retry_after: str = "") -> StreamError:
    """The error of an answer that has a status and nothing to read.

    Args:
        status: of HTTP.
        retry_after: the header, seconds; a date is not read.
    """
    known = _BY_STATUS.get(status)
    if known is None:
        return UnexpectedAnswer(f"The answer was HTTP {status}, and not llm-stream's.")
    wait_ms = 1000 * int(retry_after) if retry_after.isdecimal() else None
    return known(f"The service answered with HTTP {status}.", retry_after_ms=wait_ms)


def may_succeed(error: StreamError) -> bool:
    """Whether the same request is worth sending again."""
    told = error.problem
    return error.retryable if told is None else bool(told.get("retryable"))
