"""What is the model's or its provider's doing."""

from llm_stream.errors.tree import UpstreamError


class UpstreamFailed(UpstreamError, code="upstream_failed", retryable=True):
    """The model failed in a way that may pass: connection, overload, 5xx."""


class UpstreamRejected(UpstreamError, code="upstream_rejected"):
    """The model or provider refused the call; trying again will not help."""


class RateLimited(UpstreamError, code="rate_limited", retryable=True):
    """The provider takes no more calls for now."""


class ContentRefused(UpstreamError, code="content_refused"):
    """The provider's content policy refused the question or the answer."""


class MissingKey(UpstreamError, code="missing_key"):
    """No API key is configured for the model's provider."""


class InvalidOutput(UpstreamError, code="invalid_output", retryable=True):
    """The model's answer is not what was asked for: bad JSON, schema not met."""


class UpstreamTimedOut(UpstreamError, code="upstream_timed_out", retryable=True):
    """A timer of the call ran out, or it answered too slowly; `field` says which."""


class ModelUnavailable(UpstreamError, code="model_unavailable"):
    """The model is known but cannot be used now: weights or library missing."""


class ModelResting(UpstreamError, code="model_resting", retryable=True):
    """The model or its provider failed several times in a row and is left alone for a moment."""
