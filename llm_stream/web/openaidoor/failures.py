"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`.

Made of the problem object that every other wire sends, so status, code and text are the same.
"""

from typing import Any, Final

import orjson
from aiohttp import web

from llm_stream.errors import Problem
from llm_stream.web.negotiation import JSON_TYPE
from llm_stream.web.problems import problem_response

PATHS: Final = ("/v1/chat/completions", "/v1/responses")
"""Where errors have this shape, whoever finds them."""

THEIR_CODES: Final = {
    "unknown_model": "model_not_found",
    "context_too_long": "context_length_exceeded",
}
"""Our code -> the one that programs written for OpenAI look for. All others are ours."""

TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
"""Status -> kind of error; others are the request's (4xx) or the server's (5xx)."""


def speaks_openai(path: str) -> bool:
    """Whether the errors of this path are in OpenAI's shape."""
    return path.startswith(PATHS)


def failure_of(problem: Problem) -> dict[str, Any]:
    """The error object of a problem object."""
    status, code = problem["status"], problem["code"]
    kind = "server_error" if status >= 500 else "invalid_request_error"
    field = problem.get("field")
    if (code, field) == ("unknown_run", "previous_response_id"):
        code = "previous_response_not_found"
    return {
        "message": problem["detail"],
        "type": TYPES.get(status, kind),
        "param": field,
        "code": THEIR_CODES.get(code, code),
    }


def failure_response(problem: Problem) -> web.Response:
    """The response of a problem object; its headers are those of every other wire.

    `x-should-retry` tells the SDKs, which would ask again after any 409 and 5xx, when that is vain.
    """
    response = problem_response(problem)
    response.body = orjson.dumps({"error": failure_of(problem)})
    response.content_type = JSON_TYPE
    if not problem["retryable"]:
        response.headers["x-should-retry"] = "false"
    return response


def cancelled(reason: str) -> dict[str, Any]:
    """The error object of a run that was cancelled."""
    return {
        "message": f"The run was cancelled ({reason}); what has come is not the whole answer.",
        "type": "server_error",
        "param": None,
        "code": "run_cancelled",
    }


def begun_anew(reason: str) -> dict[str, Any]:
    """The error object of an answer that had to be begun anew when a part of it had been sent."""
    return {
        "message": f"The answer was begun anew ({reason}), and a stream cannot take back what it "
        "has sent. Ask again, or without 'stream'.",
        "type": "server_error",
        "param": None,
        "code": reason,
    }


LOST: Final = {
    "message": "A part of this answer was lost. Ask again.",
    "type": "server_error",
    "param": None,
    "code": "log_unavailable",
}
"""The error object of a stream that would have a hole."""
