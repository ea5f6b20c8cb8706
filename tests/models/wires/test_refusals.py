import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from llm_stream.errors import (
    ContentRefused,
    ContextTooLong,
    RateLimited,
    StreamError,
    UpstreamFailed,
    UpstreamRejected,
)
from llm_stream.models.wires.refusals import error_event, refusal, retry_after_ms

OPENAI_LONG = {
    "code": "context_length_exceeded",
    "message": "This model's maximum context length is 8",
}
GOOGLE_LONG = {
    "code": 400,
    "status": "INVALID_ARGUMENT",
    "message": "The input token count (9) exceeds 8",
}
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"}


def said(error: Any, status: int = 400, **headers: str) -> StreamError:
    """The error of a response."""
    return refusal(status, headers, json.dumps({"error": error}).encode(), "m")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UpstreamRejected),
        (401, UpstreamRejected),
        (403, UpstreamRejected),
        (404, UpstreamRejected),
        (408, UpstreamFailed),
        (409, UpstreamFailed),
        (422, UpstreamRejected),
        (429, RateLimited),
        (500, UpstreamFailed),
        (502, UpstreamFailed),
        (503, UpstreamFailed),
        (504, UpstreamFailed),
        (529, UpstreamFailed),
    ],
)
def test_the_status_decides(status: int, kind: type[StreamError]) -> None:
    """Each status has its class, and is kept."""
    error = said({"message": "No."}, status)

    assert type(error) is kind
    assert error.detail == f"m: the provider answered {status}: No."
    assert error.status == status


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (OPENAI_LONG, 400, ContextTooLong),
        (GOOGLE_LONG, 400, ContextTooLong),
        ({"type": "invalid_request_error", "message": "prompt is too long"}, 400, ContextTooLong),
        ({"message": "request exceeds the available context size"}, 400, ContextTooLong),
        ({"code": "content_policy_violation", "message": "No."}, 400, ContentRefused),
        ({"code": "content_filter", "message": "No."}, 400, ContentRefused),
        ({"code": "insufficient_quota", "message": "Pay."}, 429, UpstreamRejected),
        ({"type": "rate_limit_error", "message": "Slow down."}, 429, RateLimited),
        ("plain words", 400, UpstreamRejected),
        (None, 500, UpstreamFailed),
    ],
)  # fmt: skip
def test_the_providers_words_decide_further(error: Any, status: int, kind: Any) -> None:
    """Too long, refused by policy and out of money are told apart within a status."""
    assert type(said(error, status)) is kind


@pytest.mark.parametrize(
    "body",
    [b"", b"<html><b>Bad gateway</b>", b'[{"error": {"message": "Bad gateway"}}]', b"[]", b"7"],
)
def test_any_body_is_taken(body: bytes) -> None:
    """Pages, lists, nothing and nonsense make no other failure of it."""
    error = refusal(502, {}, body, "m")

    assert type(error) is UpstreamFailed
    assert "<" not in error.detail
    assert ("Bad gateway" in error.detail) == (b"gateway" in body)


def test_the_request_id_is_kept() -> None:
    """From whichever header, or from Anthropic's body."""
    assert said({}, 500, **{"x-request-id": "req_1"}).upstream_request == "req_1"
    assert refusal(500, {}, b'{"request_id": "req_2"}', "m").upstream_request == "req_2"
    assert said({}, 500).upstream_request is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "3"}, 3000),
        ({"retry-after": "0.5"}, 500),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "4294967"}, 3_600_000),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "250", "retry-after": "3"}, 250),
        ({"retry-after-ms": "x", "retry-after": "3"}, 3000),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 9999 07:28:00 GMT"}, 3_600_000),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_advice_to_wait(headers: dict[str, str], expected: int | None) -> None:
    """Seconds, milliseconds and dates are understood, absurd values capped or passed over."""
    assert retry_after_ms(headers) == expected


def test_a_date_means_the_time_until_then() -> None:
    """A date a minute ahead is a minute, up to the clock's rounding."""
    value = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)

    assert 58_000 <= (retry_after_ms({"retry-after": value}) or 0) <= 60_000


def test_googles_advice_stands_in_the_body() -> None:
    """RetryInfo counts where no header says anything."""
    error = {"code": 429, "message": "Quota.", "details": [7, RETRY_INFO]}

    assert said(error, 429).retry_after_ms == 37_500
    assert said(error, 429, **{"retry-after": "1"}).retry_after_ms == 1000


def test_googles_advice_is_capped_like_any() -> None:
    """A day is an hour, and a stream's list around the error changes nothing."""
    error = {"code": 429, "message": "Quota.", "details": [{"retryDelay": "86400s"}]}
    listed = json.dumps([{"error": error}]).encode()

    assert refusal(429, {}, listed, "m").retry_after_ms == 3_600_000


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        ("17s", 17_000),
        ("0s", 0),
        ("99999999s", 3_600_000),
        ("soon", None),
        (17, None),
        ("-1s", None),
    ],
)
def test_googles_advice_is_capped_as_any_other(delay: Any, expected: int | None) -> None:
    """An hour at most, and nothing for what is no span of time; in events as well."""
    error = {"code": 429, "details": [{**RETRY_INFO, "retryDelay": delay}]}

    assert said(error, 429).retry_after_ms == expected
    assert error_event(error, "m").retry_after_ms == expected


@pytest.mark.parametrize(
    ("status", "remaining", "advice", "expected"),
    [
        (429, "0", {}, 90_000),
        (429, "0", {"retry-after": "1"}, 1000),
        (429, "7", {}, None),
        (503, "0", {}, None),
    ],
)
def test_a_limits_reset_is_advice(
    status: int, remaining: str, advice: dict[str, str], expected: int | None
) -> None:
    """Where a 429 says nothing else, and the limit is really exhausted."""
    limit = {
        "x-ratelimit-remaining-requests": remaining,
        "x-ratelimit-reset-requests": "1m30s",
    }

    assert said({}, status, **limit, **advice).retry_after_ms == expected


@pytest.mark.parametrize(
    ("event", "kind", "status"),
    [
        ({"type": "overloaded_error", "message": "x"}, UpstreamFailed, 529),
        ({"type": "rate_limit_error", "message": "x"}, RateLimited, 429),
        ({"code": "rate_limit_exceeded", "message": "x"}, RateLimited, 429),
        ({"code": 503, "status": "UNAVAILABLE", "message": "x"}, UpstreamFailed, 503),
        ({"code": "server_error", "message": "x"}, UpstreamFailed, 500),
        ({"type": "invalid_request_error", **OPENAI_LONG}, ContextTooLong, 400),
        ({"message": "x"}, UpstreamFailed, 500),
        ("words", UpstreamFailed, 500),
        (["x"], UpstreamFailed, 500),
    ],
)
def test_an_error_event_has_a_name_instead_of_a_status(event: Any, kind: Any, status: int) -> None:
    """What a provider calls an error in mid-answer means what its status would."""
    error = error_event(event, "m")

    assert (type(error), error.status) == (kind, status)
