"""The service's errors at a client: by their codes, with all that was told."""

import pytest

from llm_stream.client.problems import (
    UnexpectedAnswer,
    UnknownProblem,
    UnknownUpstreamProblem,
    Unreachable,
    error_of,
    error_of_status,
    may_succeed,
)
from llm_stream.errors import (
    LimitReached,
    StreamError,
    TooManyRuns,
    Unauthenticated,
    concrete_errors,
)
from llm_stream.web.problems import problem


@pytest.mark.parametrize("kind", sorted(concrete_errors(), key=str))
def test_every_error_comes_back_as_itself(kind: type[StreamError]) -> None:
    """What the service raises is what its client raises."""
    told = problem(kind("Because.", field="model", retry_after_ms=5, run="run_1"), request="req_1")
    error = error_of(told)

    assert type(error) is kind
    assert (error.detail, error.field, error.retry_after_ms) == ("Because.", "model", 5)
    assert (error.run, error.problem) == ("run_1", told)
    assert may_succeed(error) == kind.retryable


def test_a_code_of_tomorrow_is_an_error_too() -> None:
    """Told as a problem of the service's or of a provider's, retried if it says so."""
    error = error_of({"code": "melted", "title": "It is too warm", "retryable": True})

    assert isinstance(error, UnknownProblem)
    assert (str(error), may_succeed(error)) == ("It is too warm", True)
    upstream = error_of({"code": "melted", "upstream_status": 599, "upstream_request": "r1"})
    assert isinstance(upstream, UnknownUpstreamProblem)
    assert (upstream.status, upstream.upstream_request) == (599, "r1")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Unauthenticated),
        (429, LimitReached),
        (418, UnexpectedAnswer),
        (502, Unreachable),
        (504, Unreachable),
    ],
)
def test_a_bare_status_has_its_error(status: int, kind: type[StreamError]) -> None:
    """A refused handshake, or a proxy's word, has a status and nothing to read."""
    error = error_of_status(status, "7")

    assert type(error) is kind
    assert error.retry_after_ms in {7000, None}
    assert error_of_status(503, "Fri, 27 Nov 2026 10:00:00 GMT").retry_after_ms is None


def test_clients_errors_are_not_the_services() -> None:
    """They are no rows of its table of errors."""
    assert UnknownProblem not in concrete_errors()
    assert TooManyRuns in concrete_errors()
