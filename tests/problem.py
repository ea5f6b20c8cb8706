"""A problem object for tests that need one and no more."""

from typing import Any

from llm_stream.errors import Problem, StreamError


def owner_lost(detail: str = "Gone.") -> Problem:
    """That of a run whose replica is gone."""
    return {
        "type": "/docs/errors#owner_lost",
        "title": "The replica that worked on the run is gone",
        "status": 503,
        "detail": detail,
        "code": "owner_lost",
        "retryable": True,
        "request": "",
    }


PROBLEM = owner_lost()


def only_its_code(error: StreamError, **_: Any) -> Any:
    """Describes errors for runs of which nothing else is asked."""
    return {"code": error.code}
