"""What OpenAI's two wires share: the key, errors, headers, the list of models."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm_stream.testing.mockproviders.answers import Asked, opaque_id
from llm_stream.testing.mockproviders.replies import Reply, plain
from llm_stream.testing.mockproviders.wire import CREATED, Call, Refusal, Wire

KINDS: Final = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
"""Status -> `error.type`; the others are `server_error`."""

CODES: Final = {
    401: "invalid_api_key",
    404: "model_not_found",
    429: "rate_limit_exceeded",
    503: "server_overloaded",
}
"""Status -> `error.code`, where the provider has one."""


class OpenAIWire(Wire):
    """The common half of chat completions and Responses."""

    def admit(self, call: Call) -> None:
        """Ask for a bearer key; one with `invalid` in it is none."""
        if not call.bearer:
            raise Refusal(401, "There is no API key in the Authorization header.", "none")
        if "invalid" in call.bearer:
            raise Refusal(401, f"Incorrect API key provided: {call.bearer[:3]}***.")

    def error(self, refusal: Refusal, call: Call) -> Reply:
        """`{"error": {message, type, param, code}}`."""
        code = None if refusal.code == "none" else refusal.code or CODES.get(refusal.status)
        body = {"error": described(refusal.message, refusal.status, code, refusal.param or None)}
        return plain(body, refusal.status, {"x-request-id": call.request_id})

    def limits(self, left: int, reset_seconds: float) -> Mapping[str, str]:
        """A count and a span of time."""
        return {
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": f"{round(reset_seconds * 1000)}ms",
        }

    def models(self, names: Sequence[str]) -> Reply:
        """`{"object": "list", "data": [...]}`."""
        data = [
            {"id": name, "object": "model", "created": CREATED, "owned_by": "mock"}
            for name in names
        ]
        return plain({"object": "list", "data": data})


def described(message: str, status: int, code: str | None, param: str | None) -> dict[str, Any]:
    """The object that an error is."""
    kind = KINDS.get(status, "server_error")
    return {"message": message, "type": kind, "param": param, "code": code}


def reply_headers(asked: Asked) -> Mapping[str, str]:
    """What OpenAI sends beside every body."""
    return {
        "x-request-id": opaque_id("req_", asked),
        "openai-version": "2020-10-01",
        "openai-processing-ms": "12",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-tokens": "1999990",
        "x-ratelimit-reset-tokens": "0s",
    }


def require(body: Mapping[str, Any], *fields: str) -> None:
    """Check that fields are there.

    Raises:
        Refusal: one is missing.
    """
    for name in fields:
        if body.get(name) in (None, "", []):
            raise Refusal(
                400, f"Missing required parameter: '{name}'.", "missing_required_parameter", name
            )


def refuse_unknown(body: Mapping[str, Any], known: frozenset[str]) -> None:
    """Check that there are no fields but those.

    Raises:
        Refusal: there is another one.
    """
    for name in body:
        if name not in known:
            raise Refusal(400, f"Unknown parameter: '{name}'.", "unknown_parameter", name)
