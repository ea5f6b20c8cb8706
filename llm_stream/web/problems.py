"""The one table: error class -> HTTP status, WebSocket close code, title (RFC 9457)."""

from typing import Final, NamedTuple

import orjson
from aiohttp import web

from llm_stream import errors
from llm_stream.errors import Problem, StreamError


class Row(NamedTuple):
    """What the wires say of one error. `close_code` is used only where it ends a socket."""

    status: int
    close_code: int
    title: str


TABLE: Final[dict[type[StreamError], Row]] = {
    errors.MalformedRequest: Row(400, 4400, "The request is not a JSON object"),
    errors.MissingField: Row(400, 4400, "A required field is missing"),
    errors.UnknownField: Row(400, 4400, "The request has an unknown field"),
    errors.InvalidField: Row(400, 4400, "A field is invalid"),
    errors.EmptyPrompt: Row(400, 4400, "The prompt is empty"),
    errors.PayloadTooLarge: Row(413, 4400, "The request is too large"),
    errors.RequestTimedOut: Row(408, 4400, "The request did not arrive in time"),
    errors.InvalidHttp: Row(400, 4400, "The request is not valid HTTP"),
    errors.UnsupportedMediaType: Row(415, 4400, "The content type is not supported"),
    errors.NotAcceptable: Row(406, 4400, "No acceptable representation"),
    errors.UnknownModel: Row(404, 4400, "Unknown model"),
    errors.UnknownTemplate: Row(404, 4400, "Unknown template"),
    errors.MissingVariable: Row(400, 4400, "A template variable is missing"),
    errors.UnknownVariable: Row(400, 4400, "Unknown template variable"),
    errors.InvalidOption: Row(400, 4400, "The model refuses an option"),
    errors.UnsupportedByModel: Row(400, 4400, "The model does not support this"),
    errors.ContextTooLong: Row(400, 4400, "The prompt is too long for the model"),
    errors.UnknownRun: Row(404, 4400, "Unknown run"),
    errors.RunExpired: Row(410, 4400, "The run has expired"),
    errors.RunCancelled: Row(409, 4400, "The run was cancelled"),
    errors.InvalidCursor: Row(400, 4400, "Invalid cursor"),
    errors.DuplicateId: Row(409, 4400, "The id is already in use"),
    errors.UnknownStream: Row(404, 4400, "Unknown stream"),
    errors.IdempotencyConflict: Row(422, 4400, "The idempotency key was used for another request"),
    errors.NotCached: Row(504, 4400, "Not in the cache"),
    errors.UnknownEntry: Row(404, 4400, "Unknown cache entry"),
    errors.NotFound: Row(404, 4400, "Not found"),
    errors.MethodNotAllowed: Row(405, 4400, "Method not allowed"),
    errors.Unauthenticated: Row(401, 4401, "A client key is needed"),
    errors.Forbidden: Row(403, 4403, "The key does not allow this"),
    errors.LimitReached: Row(429, 4429, "The client's limit is reached"),
    errors.Overloaded: Row(503, 4503, "The service is overloaded"),
    errors.HostRefused: Row(421, 4403, "The service has another name"),
    errors.OriginRefused: Row(403, 4403, "The origin is not allowed"),
    errors.UpstreamFailed: Row(502, 4500, "The model failed"),
    errors.UpstreamRejected: Row(502, 4500, "The model refused the call"),
    errors.RateLimited: Row(429, 4500, "The provider's rate limit is reached"),
    errors.ContentRefused: Row(502, 4500, "The provider refused the content"),
    errors.MissingKey: Row(503, 4500, "No key for this model"),
    errors.InvalidOutput: Row(502, 4500, "The model's answer is invalid"),
    errors.UpstreamTimedOut: Row(504, 4500, "The model took too long"),
    errors.ModelUnavailable: Row(503, 4503, "The model is not available"),
    errors.ModelResting: Row(503, 4503, "The model is left alone for a moment"),
    errors.TooManyRuns: Row(429, 4429, "Too many runs at once"),
    errors.TooManyStreams: Row(429, 4429, "Too many streams on this socket"),
    errors.Draining: Row(503, 4512, "The service is shutting down"),
    errors.CacheUnavailable: Row(503, 4500, "The cache is not available"),
    errors.HistoryUnavailable: Row(503, 4500, "The history is not available"),
    errors.BudgetExceeded: Row(503, 4500, "No answer in time"),
    errors.OwnerLost: Row(503, 4500, "The replica that worked on the run is gone"),
    errors.LogUnavailable: Row(503, 4503, "The shared log is not available"),
    errors.OutputTooLarge: Row(507, 4500, "The run produced too much output"),
    errors.InternalError: Row(500, 4500, "Internal error"),
}

DRAINED: Final = 4512
"""Close code: this instance is shutting down; reconnect and resume."""

NO_KEY: Final = 4401
"""Close code: the client key holds no more; connect with another one."""

MALFORMED: Final = 4400
"""Close code: the client keeps sending what is not the protocol."""


def problem(error: StreamError, *, run: str | None = None, request: str = "") -> Problem:
    """The problem object of an error, the same on HTTP, in a reply and in `run.failed`.

    Args:
        error: any of our errors.
        run: id of the run concerned, unless the error says it itself.
        request: id that finds the request in the log.
    """
    row = TABLE[type(error)]
    body: Problem = {
        "type": f"/docs/errors#{error.code}",
        "title": row.title,
        "status": row.status,
        "detail": error.detail,
        "code": error.code,
        "retryable": error.retryable,
        "request": request,
    }
    if error.retry_after_ms is not None:
        body["retry_after_ms"] = error.retry_after_ms
    if error.field is not None:
        body["field"] = error.field
    if error.status is not None:
        body["upstream_status"] = error.status
    if error.upstream_request is not None:
        body["upstream_request"] = error.upstream_request
    if concerned := error.run or run:
        body["run"] = concerned
    return body


def problem_response(body: Problem) -> web.Response:
    """The HTTP response of a problem object."""
    headers = {}
    if "retry_after_ms" in body:
        headers["Retry-After"] = str(-(-body["retry_after_ms"] // 1000))
    if "run" in body:
        headers["X-Run-Id"] = body["run"]
    if body["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        body=orjson.dumps(body),
        status=body["status"],
        content_type="application/problem+json",
        headers=headers,
    )
