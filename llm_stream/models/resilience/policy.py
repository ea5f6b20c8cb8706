"""What a failed model call asks for: the same model again, the next one, or an end; and when."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from llm_stream.errors import (
    ContentRefused,
    ContextTooLong,
    InvalidOutput,
    ModelResting,
    StreamError,
    UpstreamError,
    UpstreamTimedOut,
)

Verdict = Literal["again", "next", "end"]

CONNECT: Final = "timeouts.connect_seconds"
"""`field` of a timer that ran out before anything was sent: nothing was spent, so ask again."""


def verdict(error: StreamError) -> Verdict:
    """Whether the same model may be asked again, only another one, or none.

    `again`: what may pass (overload, 5xx, connection). `next`: what this model would say again,
    and a model that stayed silent until its timer ran out. What was said of a key is asked again
    with another one, where there is one. `end`: what is the caller's doing, and
    a refusal of the content, which a fallback must not go around.
    """
    if isinstance(error, UpstreamTimedOut):
        return "again" if error.field == CONNECT else "next"
    if isinstance(error, (ContextTooLong, InvalidOutput, ModelResting)):
        return "next"
    if error.other_key:
        return "again"
    if isinstance(error, ContentRefused) or not isinstance(error, UpstreamError):
        return "end"
    return "again" if error.retryable else "next"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often one model is asked for one answer, and how long it is left alone in between.

    `attempts` counts the first call. The pause doubles from `initial_seconds` up to
    `max_seconds`; half of it is drawn by lot, so that callers who failed together do not come
    back together. A provider that asks for a longer pause gets it, up to
    `max_retry_after_seconds`.
    """

    attempts: int = 3
    initial_seconds: float = 0.5
    max_seconds: float = 8.0
    max_retry_after_seconds: float = 30.0

    def delay_seconds(
        self, failures: int, error: StreamError, draw: Callable[[], float]
    ) -> float | None:
        """The pause after so many failures of a model, at least 1; None: do not ask it again.

        Args:
            failures: of this model in this answer.
            error: the last of them.
            draw: gives a number from 0 to 1.
        """
        if failures >= self.attempts or verdict(error) != "again":
            return None
        backoff = min(self.max_seconds, self.initial_seconds * 2 ** min(failures - 1, 30))
        # A pause that a provider asks for is meant for the key it was sent.
        asked = 0 if error.other_key else max(0, error.retry_after_ms or 0) / 1000
        # Asking before the provider's time wastes a call, and a reader's patience if it is long.
        if asked > self.max_retry_after_seconds:
            return None
        return float(max(backoff * (0.5 + draw() / 2), asked * (1 + draw() / 10)))
