"""Every error the service tells a caller about, named by whose doing it was.

A leaf module: it imports nothing of ours. `web/problems` holds the one table
that turns these classes into HTTP statuses, close codes and problem objects.

    StreamError
     +-- CallerError      the request is wrong; unchanged it will fail again
     +-- UpstreamError    a model or its provider failed or lied
     +-- ServiceError     this service refuses or failed
"""

from typing import ClassVar


class StreamError(Exception):
    """Base of every error with a stable code and a message that is safe to show.

    Args:
        detail: one or two sentences for the caller: what is wrong and what to do.
            Never holds keys, prompts, tracebacks or unscrubbed upstream text.
        field: path of the request field at fault (`options.temperature`), if one is.
        retry_after_ms: milliseconds after which trying again makes sense, if known.
        run: id of the run concerned, if there is one.

    Class attributes: `code`, stable and part of the protocol; `retryable`, whether the
    same request may succeed later.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

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


# -- the caller's doing ------------------------------------------------------


class MalformedRequest(CallerError, code="malformed_request"):
    """The body or frame is not one JSON object."""


class MissingField(CallerError, code="missing_field"):
    """A required field is absent."""


class UnknownField(CallerError, code="unknown_field"):
    """A field that this call does not know."""


class InvalidField(CallerError, code="invalid_field"):
    """A field has the wrong type, range or combination."""


class EmptyPrompt(CallerError, code="empty_prompt"):
    """Nothing was left to ask the model after trimming white space."""


class PayloadTooLarge(CallerError, code="payload_too_large"):
    """A body, frame, prompt or attachment is over its limit in bytes."""


class UnsupportedMediaType(CallerError, code="unsupported_media_type"):
    """The body is not declared as JSON, or is declared as compressed."""


class NotAcceptable(CallerError, code="not_acceptable"):
    """`Accept` names nothing this call can answer with."""


class UnknownModel(CallerError, code="unknown_model"):
    """No model or alias of that name exists here."""


class UnknownTemplate(CallerError, code="unknown_template"):
    """No template of that name was loaded at start."""


class MissingVariable(CallerError, code="missing_variable"):
    """A template variable has no value."""


class UnknownVariable(CallerError, code="unknown_variable"):
    """A value was given for a variable the template does not have."""


class InvalidOption(CallerError, code="invalid_option"):
    """The chosen model refuses an option or its value."""


class UnsupportedByModel(CallerError, code="unsupported_by_model"):
    """The chosen model cannot do what is asked: schema, attachment, conversation."""


class ContextTooLong(CallerError, code="context_too_long"):
    """Prompt and history do not fit into the model's context."""


class UnknownRun(CallerError, code="unknown_run"):
    """No such run, or it belongs to somebody else."""


class RunExpired(CallerError, code="run_expired"):
    """The run existed; its events are no longer kept."""


class RunCancelled(CallerError, code="run_cancelled"):
    """The run was ended early, by a client or by its policy; its text is partial."""


class InvalidCursor(CallerError, code="invalid_cursor"):
    """The cursor was never issued for this run."""


class DuplicateId(CallerError, code="duplicate_id"):
    """The id or stream name is in use on this socket."""


class UnknownStream(CallerError, code="unknown_stream"):
    """The socket has no subscription of that name."""


class IdempotencyConflict(CallerError, code="idempotency_conflict"):
    """The `Idempotency-Key` was used before with another body."""


class NotCached(CallerError, code="not_cached"):
    """The cache has no answer, and the caller wants none that costs a model call."""


class UnknownEntry(CallerError, code="unknown_entry"):
    """The cache has no entry of this key."""


class NotFound(CallerError, code="not_found"):
    """No such path."""


class MethodNotAllowed(CallerError, code="method_not_allowed"):
    """The path exists, not with this method; `allowed` lists those it has, comma-separated."""

    allowed: str = ""


class OriginRefused(CallerError, code="origin_refused"):
    """A browser page of another origin tried to reach the service."""


# -- the model's or its provider's doing -------------------------------------


class UpstreamFailed(UpstreamError, code="upstream_failed", retryable=True):
    """The model failed in a way that may pass: connection, overload, 5xx."""


class UpstreamRejected(UpstreamError, code="upstream_rejected"):
    """The model or provider refused the call; trying again will not help."""


class MissingKey(UpstreamError, code="missing_key"):
    """No API key is configured for the model's provider."""


class InvalidOutput(UpstreamError, code="invalid_output", retryable=True):
    """The model's answer is not what was asked for: bad JSON, schema not met."""


class UpstreamTimedOut(UpstreamError, code="upstream_timed_out", retryable=True):
    """A timer of the call ran out: first token, idle or total."""


class ModelUnavailable(UpstreamError, code="model_unavailable"):
    """The model is known but cannot be used now: weights or library missing."""


# -- this service's doing ----------------------------------------------------


class TooManyRuns(ServiceError, code="too_many_runs", retryable=True):
    """Every slot is busy and the queue is full."""


class TooManyStreams(ServiceError, code="too_many_streams"):
    """The socket has as many subscriptions as it may have."""


class Draining(ServiceError, code="draining", retryable=True):
    """The service is shutting down and takes no new runs."""


class CacheUnavailable(ServiceError, code="cache_unavailable", retryable=True):
    """The cache's backend does not answer; requests go on without it."""


class BudgetExceeded(ServiceError, code="budget_exceeded", retryable=True):
    """The time a Director waits was over before there was anything to answer with."""


class OwnerLost(ServiceError, code="owner_lost", retryable=True):
    """The replica that worked on the run is gone; its text is partial."""


class LogUnavailable(ServiceError, code="log_unavailable", retryable=True):
    """The shared log cannot be read, has lost events, or a run's owner does not answer."""


class OutputTooLarge(ServiceError, code="output_too_large"):
    """The run produced more than its log may hold."""


class InternalError(ServiceError, code="internal_error", retryable=True):
    """A bug of ours; the request id finds it in the log."""


def concrete_errors() -> frozenset[type[StreamError]]:
    """Every error class that is raised, i.e. the leaves of the tree."""
    every: list[type[StreamError]] = [StreamError]
    for cls in every:
        every += cls.__subclasses__()
    return frozenset(cls for cls in every if not cls.__subclasses__())
