"""Which browser pages of other hosts may call: checked here, and told to their browsers (CORS)."""

from typing import Final

from aiohttp import hdrs, web

from llm_stream.errors import OriginRefused
from llm_stream.web.service import SERVICE

SHOWN: Final = (
    "Age, Cache-Status, ETag, Location, Preference-Applied, Retry-After, X-Request-Id, "
    "X-Run-Claim, X-Run-Id"
)
"""What a page may read of a response's head, beside what every page may."""

SENT: Final = (
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, traceparent, tracestate, "
    "X-Request-Id"
)
"""What a page may add to a request's head."""

PREFLIGHT_SECONDS: Final = 600
"""How long a browser remembers that it may."""


def check_origin(request: web.Request) -> None:
    """Refuse a page of another origin anything but reading.

    Raises:
        OriginRefused: `Origin` is neither this host nor in `server.allowed_origins`.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    changes = request.method not in {"GET", "HEAD", "OPTIONS"}
    if origin is None or not (changes or hdrs.UPGRADE in request.headers):
        return
    own = origin.partition("://")[2] == request.headers.get(hdrs.HOST)
    if not own and not _allowed(request, origin):
        raise OriginRefused(
            f"Pages of {origin[:100]!a} may not call this service. Its operator can list them in "
            "server.allowed_origins.",
            field="Origin",
        )


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks if a page that is listed may make a request."""
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        and _allowed(request, request.headers.get(hdrs.ORIGIN, ""))
    )


def preflight_response() -> web.Response:
    """It may; what it then asks for is checked as always."""
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST, DELETE",
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: SENT,
        hdrs.ACCESS_CONTROL_MAX_AGE: str(PREFLIGHT_SECONDS),
    }
    return web.Response(status=204, headers=headers)


def let_read(request: web.Request, response: web.StreamResponse) -> None:
    """Tell the browser that a page that is listed may read this response, errors included."""
    if not request.app[SERVICE].settings.server.allowed_origins:
        return
    # To whoever asks: what a cache keeps of an answer to nobody's page is not for theirs.
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    origin = request.headers.get(hdrs.ORIGIN, "")
    if not _allowed(request, origin):
        return
    # No cookies and no `Access-Control-Allow-Credentials`: a page shows its own key, or none.
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = SHOWN


def _allowed(request: web.Request, origin: str) -> bool:
    return origin in request.app[SERVICE].settings.server.allowed_origins
