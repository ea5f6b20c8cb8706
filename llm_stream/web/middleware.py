"""Around every request: an id, a log line, errors turned into problems, security headers."""

import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import HttpVersion11, hdrs, web

from llm_stream.errors import (
    InternalError,
    InvalidField,
    InvalidHttp,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestTimedOut,
    StreamError,
)
from llm_stream.naming import token
from llm_stream.web.auth import admitted
from llm_stream.web.connection import Connection
from llm_stream.web.headers import set_headers
from llm_stream.web.openaidoor.failures import failure_response, speaks_openai
from llm_stream.web.origins import check_origin, is_preflight, let_read, preflight_response
from llm_stream.web.problems import problem, problem_response
from llm_stream.web.service import REQUEST_ID, SERVICE
from llm_stream.web.views import cache_word
from llm_stream.web.ws import refuse_socket

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_QUIET: Final = frozenset({"/livez", "/readyz", "/metrics", "/static/{path}"})

log = structlog.get_logger("llm_stream.request")


@web.middleware
async def identify_and_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id (the client's `X-Request-Id` if it is plain) and log its end.

    The only middleware: a second one would cost every request its share.
    """
    given = request.headers.get("X-Request-Id", "")
    request[REQUEST_ID] = request_id = given if _ID.fullmatch(given) else f"req_{token()}"
    connection = request.protocol
    if isinstance(connection, Connection):
        connection.begin_answer()
    route = request.match_info.route.resource
    path = route.canonical if route is not None else "unknown"
    service = request.app[SERVICE]
    metrics = service.metrics
    if service.tracing is not None:
        service.tracing.request_came(request.headers.get("traceparent"))
    began = time.perf_counter()
    about: dict[str, str] = {}
    status = 499  # the client went away before there was an answer
    try:
        response = await metrics.timed(request.method, path, answered(request, handler))
        status = response.status
        about = _about(response)
    finally:
        if isinstance(connection, Connection):
            connection.end_answer(request.content, linger=status != HTTPStatus.REQUEST_TIMEOUT)
        metrics.responded(request.method, path, status)
        if path not in _QUIET:
            log.info(
                "request",
                request=request_id,
                method=request.method,
                path=path,
                status=status,
                ms=round((time.perf_counter() - began) * 1000, 1),
                **about,
            )
    return response


def _about(response: web.StreamResponse) -> dict[str, str]:
    """Which run the response is about, and how the cache took part, where it is about one."""
    run, cache = response.headers.get("X-Run-Id"), cache_word(response.headers)
    return {name: value for name, value in (("run", run), ("cache", cache)) if value}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler of every response: the request's id and what browsers need to know."""
    set_headers(response.headers, request.get(REQUEST_ID, ""))
    let_read(request, response)


async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into one problem object; a bug into `internal_error` and a traceback."""
    try:
        check_framing(request)
        service = request.app[SERVICE]
        service.hosts.check(request.headers.get(hdrs.HOST))
        if is_preflight(request):
            return preflight_response()
        check_origin(request)
        if not service.access.roster.asks_for_keys:
            return await handler(request)
        return await admitted(request, handler)
    except StreamError as error:
        page = hdrs.ORIGIN in request.headers and hdrs.UPGRADE in request.headers
        if page and not isinstance(error, InvalidHttp):  # whose bytes are not to be trusted
            return await refuse_socket(request, error)
        shown = error
    except web.HTTPException as error:
        if error.status < 400:
            raise
        shown = _from_http(error, request)
    except Exception:
        log.exception("request.crashed", request=request[REQUEST_ID])
        shown = InternalError("The service failed on this request. Its log has the details.")
    told = problem(shown, request=request[REQUEST_ID])
    theirs = speaks_openai(request.path)
    response = failure_response(told) if theirs else problem_response(told)
    if isinstance(shown, MethodNotAllowed):
        response.headers[hdrs.ALLOW] = shown.allowed
    if isinstance(shown, (InvalidHttp, RequestTimedOut)):
        response.force_close()
    return response


def check_framing(request: web.Request) -> None:
    """Refuse what aiohttp takes although it could be read in two ways.

    Raises:
        InvalidHttp: somebody in between may see another end of this request than we do.

    Source: RFC 9112, 6.1 (`Transfer-Encoding`); RFC 6455, 4.1 (the opening handshake).
    """
    headers = request.headers
    coding = headers.get(hdrs.TRANSFER_ENCODING)
    old = request.version < HttpVersion11
    if coding is not None and (old or coding.strip().lower() != "chunked"):
        raise InvalidHttp("'Transfer-Encoding: chunked' and HTTP/1.1, or a Content-Length.")
    if "websocket" in headers.get(hdrs.UPGRADE, "").lower():
        body = coding is not None or headers.get(hdrs.CONTENT_LENGTH, "0") != "0"
        if body or old:
            raise InvalidHttp("A WebSocket begins with a request of HTTP/1.1 that has no body.")


def _from_http(error: web.HTTPException, request: web.Request) -> StreamError:
    match error:
        case web.HTTPMethodNotAllowed():
            methods = ", ".join(sorted(error.allowed_methods))
            shown = MethodNotAllowed(f"{request.method} is not allowed here. Allowed: {methods}.")
            shown.allowed = methods
            return shown
        case web.HTTPNotFound():
            return NotFound("There is nothing at this path. /docs lists what there is.")
        case web.HTTPRequestEntityTooLarge():
            limit = request.app[SERVICE].settings.server.body_bytes
            return PayloadTooLarge(f"The body is too large; {limit} bytes are allowed.")
        case _:
            return InvalidField(f"The request was refused: {error.reason}.")
