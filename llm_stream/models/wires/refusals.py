"""What a provider says when it does not answer, turned into our errors.

All five providers send JSON with an `error`; they differ in where they put code and advice.
Sources: the error references of OpenAI, Anthropic and the Gemini API.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from llm_stream.errors import (
    ContentRefused,
    ContextTooLong,
    RateLimited,
    StreamError,
    UpstreamFailed,
    UpstreamRejected,
)
from llm_stream.models.faults import clean, scrub
from llm_stream.models.wires.ratelimits import http_date, limits_in

MAX_RETRY_AFTER_MS: Final = 3_600_000
"""Longer advice is cut to an hour: no caller waits for it, and some servers send nonsense."""

REQUEST_ID_HEADERS: Final = ("request-id", "x-request-id", "x-goog-request-id")

MAY_PASS: Final = frozenset({408, 409, 425})
"""Statuses below 500 that say nothing against the request; 429 has a class of its own."""

OF_A_KEY: Final = frozenset({401, 403, 429})
"""Statuses with which another key of the same provider may fare better."""

STATUS_OF: Final = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "server_error": 500,
    "api_error": 500,
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
}
"""What an error event in a 200 means; it has a name where a response has a status."""

_TOO_LONG: Final = re.compile(
    r"context_length_exceeded|string_above_max_length|maximum context length|context window"
    r"|prompt is too long|input token count .{0,80}exceeds|exceed.{0,40} context (size|limit)",
    re.IGNORECASE,
)
_REFUSED: Final = re.compile(
    r"content_policy_violation|content_filter|ResponsibleAIPolicyViolation"
    r"|content management policy",
    re.IGNORECASE,
)
_NO_QUOTA: Final = re.compile(
    r"insufficient_quota|billing_hard_limit|credit balance", re.IGNORECASE
)
_BAD_KEY: Final = re.compile(r"API key not valid|API key expired", re.IGNORECASE)
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)s")


def refusal(status: int, headers: Mapping[str, str], body: bytes, model_id: str) -> StreamError:
    """The error that a response other than 200 stands for.

    `status`, `upstream_request` and `retry_after_ms` are set where the provider says them; its
    text is scrubbed and cut.

    Args:
        status: of the response.
        headers: of the response, by name in any case.
        body: as much of it as was read.
        model_id: begins the detail.
    """
    said = _json(body)
    error = classify(status, _error_of(said), body, model_id)
    request = next((headers[name] for name in REQUEST_ID_HEADERS if name in headers), None)
    if request is None and isinstance(said, dict) and isinstance(said.get("request_id"), str):
        request = said["request_id"]
    error.upstream_request = scrub(request)[:100] if request else None
    advised = retry_after_ms(headers)
    error.retry_after_ms = error.retry_after_ms if advised is None else advised
    if status == 429 and error.retry_after_ms is None:
        error.retry_after_ms = _reset_ms(headers)
    return error


def error_event(said: Any, model_id: str) -> StreamError:
    """The error that an event in the middle of an answer stands for.

    Args:
        said: the value of its `error`, or the event itself where it has none.
        model_id: begins the detail.
    """
    found = said if isinstance(said, dict) else {"message": str(said)}
    names = [found.get(key) for key in ("code", "type", "status")]
    status = next((n for n in names if isinstance(n, int) and 400 <= n < 600), None) or next(
        (STATUS_OF[n] for n in names if isinstance(n, str) and n in STATUS_OF), 500
    )
    return classify(status, found, orjson.dumps(found, default=str), model_id)


def classify(status: int, said: dict[str, Any], body: bytes, model_id: str) -> StreamError:
    """The class by status and the provider's own words; see `refusal`."""
    words = " ".join(
        str(said[key]) for key in ("code", "type", "status", "message") if said.get(key)
    )
    text = said.get("message")
    shown = scrub(text if isinstance(text, str) and text else _plain(body))
    detail = f"{model_id}: the provider answered {status}{': ' + shown if shown else ''}"
    kind: type[StreamError]
    if status == 429 and not _NO_QUOTA.search(words):
        kind = RateLimited
    elif status in MAY_PASS or status >= 500:
        kind = UpstreamFailed
    elif status in {400, 413, 422} and _TOO_LONG.search(words):
        kind = ContextTooLong
    elif _REFUSED.search(words):
        kind = ContentRefused
    else:
        kind = UpstreamRejected
    error = kind(detail, retry_after_ms=_advice_in(said))
    error.status = status
    return error


def blames_key(error: StreamError) -> bool:
    """Whether another key of the same provider may fare better; Google says so with a 400."""
    return error.status in OF_A_KEY or (
        error.status == 400 and _BAD_KEY.search(error.detail) is not None
    )


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """How long the provider asks to wait, at most an hour; None if it does not or says nonsense.

    `retry-after-ms` (OpenAI) wins over `Retry-After` in seconds or as a date (RFC 9110).
    """
    exact = _number(headers.get("retry-after-ms", ""))
    if exact is not None:
        return _capped(exact)
    value = headers.get("retry-after", "").strip()
    seconds = _number(value)
    if seconds is not None:
        return _capped(seconds * 1000)
    when = http_date(value)
    if when is None:
        return None
    return _capped(max(0.0, (when - datetime.now(UTC)).total_seconds() * 1000))


def _reset_ms(headers: Mapping[str, str]) -> int | None:
    """When an exhausted limit is reset: what a 429 without other advice is about."""
    remaining, seconds = limits_in(headers) or (None, 0.0)
    return _capped(seconds * 1000) if remaining == 0 else None


def _advice_in(said: dict[str, Any]) -> int | None:
    """Google's RetryInfo: `{"retryDelay": "37s"}` among the details."""
    details = said.get("details")
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and (found := _SECONDS.fullmatch(delay)):
            return _capped(float(found[1]) * 1000)
    return None


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text.strip()) else None


def _capped(milliseconds: float) -> int:
    return int(min(milliseconds, MAX_RETRY_AFTER_MS))


def _json(body: bytes) -> Any:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    # Gemini's streaming method wraps its error in a list.
    return said[0] if isinstance(said, list) and said else said


def _error_of(said: Any) -> dict[str, Any]:
    if not isinstance(said, dict):
        return {}
    error = said.get("error", said)
    return error if isinstance(error, dict) else {"message": clean(str(error))}


def _plain(body: bytes) -> str:
    """The words of a body that is not JSON: gateways send pages."""
    return re.sub(r"<[^>]*>", " ", body[:4096].decode("utf-8", "replace"))
