"""The one table of errors."""

import pytest

from llm_stream.engine.endings import concrete_errors
from llm_stream.errors import InvalidField, StreamError, TooManyRuns
from llm_stream.resources import resource
from llm_stream.web.problems import TABLE, problem, problem_response


def code_of(cls: type[StreamError]) -> str:
    """The stable code."""
    return cls.code


ALL = sorted(concrete_errors(), key=code_of)


def test_every_concrete_error_has_a_row() -> None:
    """No error can be raised that the wires cannot say, and no row is left over."""
    assert set(TABLE) == concrete_errors()


def test_codes_are_unique() -> None:
    """A code names one error."""
    assert len({cls.code for cls in ALL}) == len(ALL)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.code)
def test_each_error_makes_a_problem_object(cls: type[StreamError]) -> None:
    """RFC 9457 fields, our code, and a status that fits whether it may be tried again."""
    body = problem(cls("What is wrong."), request="req_1")

    assert set(body) == {"type", "title", "status", "detail", "code", "retryable", "request"}
    assert body["code"] == cls.code
    assert 400 <= body["status"] < 600
    assert 4400 <= TABLE[cls].close_code < 4600
    assert not (cls.retryable and 4400 <= TABLE[cls].close_code < 4429)


def test_optional_fields_appear_when_they_are_known() -> None:
    """field, run and retry_after_ms are there only with a value; Retry-After rounds up."""
    body = problem(TooManyRuns("full", field="x", retry_after_ms=1200, run="run_1"))
    response = problem_response(body)

    assert (body["field"], body["run"], body["retry_after_ms"]) == ("x", "run_1", 1200)
    assert response.status == 429
    assert response.headers["Retry-After"] == "2"
    assert response.content_type == "application/problem+json"


def test_a_providers_status_and_request_are_told() -> None:
    """Who asks the provider what was wrong needs its own id of the request."""
    error = InvalidField("x")
    error.status, error.upstream_request = 529, "req_7"

    body = problem(error)

    assert (body["status"], body["upstream_status"], body["upstream_request"]) == (
        400, 529, "req_7",
    )  # fmt: skip


def test_a_run_known_to_the_caller_is_named() -> None:
    """`run` comes from the error, else from whoever describes it."""
    assert problem(InvalidField("x"), run="run_2")["run"] == "run_2"


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.code)
def test_every_code_is_documented(cls: type[StreamError]) -> None:
    """docs/errors.md has a heading and a status for each code, as the problem's type says."""
    text = resource("docs").joinpath("errors.md").read_text()

    assert f"### {cls.code}\n" in text
    assert f"{TABLE[cls].status}" in text.split(f"### {cls.code}\n")[1].split("###")[0]
