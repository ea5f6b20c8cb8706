"""Sections about models that fail: how long they may take, how often they are asked, and when."""

from pydantic import Field

from llm_stream.config.section import Section


class TimeoutsSection(Section):
    """Timers of one model call."""

    connect_seconds: float = Field(
        default=10.0, gt=0, description="Until the provider has taken the connection."
    )
    first_token_seconds: float = Field(
        default=60.0, gt=0, description="From the call to the first output."
    )
    idle_seconds: float = Field(default=60.0, gt=0, description="From one output to the next.")
    total_seconds: float = Field(default=600.0, gt=0, description="The whole call.")
    min_tokens_per_second: float = Field(
        default=0.0,
        ge=0,
        description="Slower answers count as silent; 0 = however slow. A token is taken for four"
        " characters, or for a chunk if those are shorter.",
    )
    slow_window_seconds: float = Field(
        default=10.0, gt=0, description="Over how long that is measured, from the first output on."
    )


class RetriesSection(Section):
    """Asking a model again that failed in a way that may pass: overload, 5xx, a lost connection."""

    attempts: int = Field(
        default=3, ge=1, description="Calls of one model for one answer, the first included."
    )
    initial_seconds: float = Field(
        default=0.5,
        ge=0,
        description="Pause before the second call; it doubles from call to call, and up to half of"
        " it is left to chance.",
    )
    max_seconds: float = Field(default=8.0, ge=0, description="Longest pause of that kind.")
    max_retry_after_seconds: float = Field(
        default=30.0,
        ge=0,
        description="Longest pause that a provider may ask for (Retry-After); if it asks for more,"
        " it is not asked again and the next model is.",
    )
    budget: float = Field(
        default=20.0,
        ge=0,
        description="Retries of one model that all runs together have, so that they do not"
        " multiply an outage.",
    )
    budget_share: float = Field(
        default=0.1, ge=0, le=1, description="Retries that each of its answers gives back."
    )


class BreakerSection(Section):
    """Leaving a model, or a whole provider, alone that does not work."""

    failures: int = Field(
        default=5, ge=1, description="Failed calls in a row after which a model is left alone."
    )
    provider_failures: int = Field(
        default=10,
        ge=2,
        description="The same of a provider: failed calls in a row, of two of its models at least,"
        " after which all of them are left alone.",
    )
    open_seconds: float = Field(
        default=10.0,
        gt=0,
        description="How long; then a single call finds out whether it works again.",
    )
