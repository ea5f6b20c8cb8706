"""What is this service's doing."""

from llm_stream.errors.tree import ServiceError


class LimitReached(ServiceError, code="limit_reached", retryable=True):
    """The client has had as much as it may have for now."""


class Overloaded(ServiceError, code="overloaded", retryable=True):
    """The service has more to do than it can; what it has begun goes on."""


class TooManyRuns(ServiceError, code="too_many_runs", retryable=True):
    """Every slot is busy and the queue is full."""


class TooManyStreams(ServiceError, code="too_many_streams"):
    """The socket has as many subscriptions as it may have."""


class Draining(ServiceError, code="draining", retryable=True):
    """The service is shutting down and takes no new runs."""


class CacheUnavailable(ServiceError, code="cache_unavailable", retryable=True):
    """The cache's backend does not answer; requests go on without it."""


class HistoryUnavailable(ServiceError, code="history_unavailable", retryable=True):
    """The history's database does not answer; runs go on without it."""


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
