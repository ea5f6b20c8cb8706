"""The error tree: whose doing, stable codes, safe messages."""

import pytest

from llm_stream.engine.endings import concrete_errors
from llm_stream.errors import (
    CallerError,
    InvalidField,
    ServiceError,
    StreamError,
    UpstreamError,
)


def code_of(cls: type[StreamError]) -> str:
    """The stable code."""
    return cls.code


ALL = sorted(concrete_errors(), key=code_of)


@pytest.mark.parametrize("cls", ALL)
def test_every_error_says_whose_doing_it_was(cls: type[StreamError]) -> None:
    """Each concrete error is exactly one of caller's, upstream's, ours, and explains itself."""
    owners = [issubclass(cls, kind) for kind in (CallerError, UpstreamError, ServiceError)]

    assert owners.count(True) == 1
    assert cls.code != StreamError.code
    assert cls.__doc__


def test_an_error_of_the_caller_is_never_retryable() -> None:
    """What is wrong with a request does not pass by itself."""
    assert not any(cls.retryable for cls in concrete_errors() if issubclass(cls, CallerError))


def test_an_error_holds_what_the_wires_show() -> None:
    """Detail, field, run and time to wait are data, and the detail is the text."""
    error = InvalidField("Too long.", field="prompt", run="run_1", retry_after_ms=5)

    assert str(error) == error.detail == "Too long."
    assert (error.field, error.run, error.retry_after_ms) == ("prompt", "run_1", 5)
