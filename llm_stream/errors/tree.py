"""The root of the error tree, and the three kinds of doers."""

from collections.abc import Mapping
from typing import Any, ClassVar


class StreamError(Exception):
    """Base of every error with a stable code and a message that is safe to show.

    Args:
        detail: one or two sentences for the caller: what is wrong and what to do.
            Never holds keys, prompts, tracebacks or unscrubbed upstream text.
        field: path of the request field at fault (`options.temperature`), if one is.
        retry_after_ms: milliseconds after which trying again makes sense, if known.
        run: id of the run concerned, if there is one.

    Class attributes: `code`, stable and part of the protocol; `retryable`, whether the
    same request may succeed later. `status` and `upstream_request` are the HTTP status and the
    request id of a provider, where it answered with one. `other_key` says that the provider's
    objection was to the key it was sent, and that there is another one to use at once. `problem` is
    the object in which a service has told of the error, at a client.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    status: int | None = None
    upstream_request: str | None = None
    other_key: bool = False
    problem: Mapping[str, Any] | None = None

    def __init_subclass__(cls, *, code: str | None = None, retryable: bool = False) -> None:
        super().__init_subclass__()
        if code is not None:
            cls.code = code
            cls.retryable = retryable

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        retry_after_ms: int | None = None,
        run: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after_ms = retry_after_ms
        self.run = run


class CallerError(StreamError):
    """The caller's doing: the same request will fail again."""


class UpstreamError(StreamError):
    """The model's or its provider's doing."""


class ServiceError(StreamError):
    """This service's doing: overload, drain, a limit of ours or a bug."""


def concrete_errors() -> frozenset[type[StreamError]]:
    """Every error class that the service raises: the leaves of the tree, but for clients' own."""
    every: list[type[StreamError]] = [StreamError]
    for cls in every:
        every += cls.__subclasses__()
    ours = __name__.rpartition(".")[0]
    return frozenset(
        cls for cls in every if not cls.__subclasses__() and cls.__module__.startswith(ours)
    )
