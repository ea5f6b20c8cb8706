"""What Google's two wires share: the key, errors, the list of models, the model in the path."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from llm_stream.testing.mockproviders.replies import Reply, plain
from llm_stream.testing.mockproviders.wire import Call, Refusal, Wire

JSON_UTF8: Final = "application/json; charset=UTF-8"

STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""HTTP status -> `error.status`."""

ENDPOINT: Final = re.compile(r"/(?P<version>v1\w*)/models/(?P<model>[^:]+):(?P<method>\w+)")


class GoogleWire(Wire):
    """The common half of Gemini and PaLM.

    Attributes:
        versions: of the API, as paths begin.
        methods: what may stand after the model's name and a colon.
    """

    versions: ClassVar[frozenset[str]]
    methods: ClassVar[frozenset[str]]

    def takes(self, call: Call) -> bool:
        """A method of a model, or the list of models."""
        if call.method == "GET":
            return call.path in {f"/{version}/models" for version in self.versions}
        found = ENDPOINT.fullmatch(call.path)
        return bool(found and found["version"] in self.versions and found["method"] in self.methods)

    def admit(self, call: Call) -> None:
        """Ask for a key, in the header or in the address."""
        key = call.headers.get("x-goog-api-key") or call.query.get("key")
        if not key:
            raise Refusal(403, "Requests without an API key are not allowed.")
        if "invalid" in key:
            raise Refusal(400, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")

    def error(self, refusal: Refusal, call: Call) -> Reply:
        """`{"error": {code, message, status, details}}`, in an array where one would stream."""
        body: Any = error_body(refusal.status, refusal.message, refusal.code, refusal.retry_seconds)
        if call.path.endswith(":streamGenerateContent") and call.query.get("alt") != "sse":
            body = [body]
        return plain(body, refusal.status)

    def models(self, names: Sequence[str]) -> Reply:
        """All models, on one page."""
        listed = [
            {
                "name": f"models/{name}",
                "version": "001",
                "displayName": name,
                "inputTokenLimit": 1_048_576,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": sorted(self.methods),
            }
            for name in names
        ]
        return plain({"models": listed})


def endpoint(call: Call) -> tuple[str, str]:
    """The model and the method in the path of a request that a wire takes."""
    found = ENDPOINT.fullmatch(call.path)
    return (found["model"], found["method"]) if found else ("", "")


def error_body(
    status: int, message: str, reason: str = "", retry_seconds: float | None = None
) -> dict[str, Any]:
    """An error as JSON."""
    error: dict[str, Any] = {
        "code": status,
        "message": message,
        "status": STATUSES.get(status, "UNKNOWN"),
    }
    details: list[dict[str, str]] = []
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        details.append({"@type": kind, "reason": reason, "domain": "googleapis.com"})
    if retry_seconds is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": kind, "retryDelay": f"{retry_seconds:.15g}s"})
    if details:
        error["details"] = details
    return {"error": error}


def refuse_unknown(body: Mapping[str, Any], known: frozenset[str]) -> None:
    """Check that there are no fields but those, in either spelling.

    Raises:
        Refusal: there is another one.
    """
    for name in body:
        if camel(name) not in known:
            raise Refusal(
                400, f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
            )


def camel(name: str) -> str:
    """A field's name as JSON usually spells it: both spellings are understood."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
