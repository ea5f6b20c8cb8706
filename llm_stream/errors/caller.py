"""What is the caller's doing: the same request will fail again."""

from llm_stream.errors.tree import CallerError


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


class RequestTimedOut(CallerError, code="request_timed_out"):
    """The request's headers or body did not arrive in time."""


class InvalidHttp(CallerError, code="invalid_http"):
    """The request is not HTTP as the service takes it: ambiguous, malformed, a head too large."""


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


class Unauthenticated(CallerError, code="unauthenticated"):
    """The service asks for a client key, and there is none that holds."""


class Forbidden(CallerError, code="forbidden"):
    """The key is good, and may not do this."""


class HostRefused(CallerError, code="host_refused"):
    """The request addressed the service by a name that is not its own."""


class OriginRefused(CallerError, code="origin_refused"):
    """A browser page of another origin tried to reach the service."""
