"""What a failure asks for: again, the next model, an end; and after how long."""

import pytest

from llm_stream.errors import (
    ContentRefused,
    ContextTooLong,
    InvalidOption,
    InvalidOutput,
    MissingKey,
    ModelResting,
    ModelUnavailable,
    RateLimited,
    StreamError,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamTimedOut,
)
from llm_stream.models.resilience.policy import RetryPolicy, Verdict, verdict


def of_a_key(error: StreamError) -> StreamError:
    """The provider objects to a key, and there is another one."""
    error.other_key = True
    return error


VERDICTS: list[tuple[StreamError, Verdict]] = [
    (UpstreamFailed("503"), "again"),
    (of_a_key(UpstreamRejected("401")), "again"),
    (of_a_key(RateLimited("429")), "again"),
    (RateLimited("429"), "again"),
    (UpstreamTimedOut("no connection", field="timeouts.connect_seconds"), "again"),
    (UpstreamTimedOut("silent", field="timeouts.first_token_seconds"), "next"),
    (UpstreamTimedOut("silent", field="timeouts.idle_seconds"), "next"),
    (UpstreamRejected("400"), "next"),
    (ContextTooLong("too long"), "next"),
    (MissingKey("no key"), "next"),
    (ModelUnavailable("no weights"), "next"),
    (ModelResting("resting"), "next"),
    (InvalidOutput("no JSON"), "next"),
    (ContentRefused("policy"), "end"),
    (InvalidOption("temperature"), "end"),
]


@pytest.mark.parametrize(("error", "expected"), VERDICTS)
def test_each_error_has_its_verdict(error: StreamError, expected: Verdict) -> None:
    """What may pass is asked again, what this model would repeat goes on, a refusal ends."""
    assert verdict(error) == expected


POLICY = RetryPolicy(
    attempts=6, initial_seconds=1, max_seconds=5, max_retry_after_seconds=20
)  # fmt: skip
FAILED = UpstreamFailed("503")


def test_pauses_double_up_to_their_bound() -> None:
    """1, 2, 4, then the bound, however often it failed."""
    pauses = [POLICY.delay_seconds(failures, FAILED, lambda: 1.0) for failures in range(1, 6)]

    assert pauses == [1, 2, 4, 5, 5]


def test_a_pause_meant_for_one_key_is_not_anothers() -> None:
    """However long the provider wants it, the next key is tried after the usual pause."""
    limited = of_a_key(RateLimited("429", retry_after_ms=3_600_000))

    assert POLICY.delay_seconds(1, limited, lambda: 1.0) == 1


@pytest.mark.parametrize(("lot", "pause"), [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0)])
def test_half_of_a_pause_is_left_to_chance(lot: float, pause: float) -> None:
    """The lot moves a pause between its half and its whole."""
    assert POLICY.delay_seconds(2, FAILED, lambda: lot) == pause


def test_a_model_is_not_asked_for_ever() -> None:
    """After as many failures as it has attempts there is no pause, because there is no call."""
    assert POLICY.delay_seconds(6, FAILED, lambda: 1.0) is None


@pytest.mark.parametrize(
    ("asked_ms", "pause"),
    [(3000, 3.0), (20_000, 20.0), (20_001, None), (10**15, None), (0, 1.0), (-5, 1.0)],
)
def test_a_provider_gets_the_pause_it_asks_for(asked_ms: int, pause: float | None) -> None:
    """Retry-After is kept where it is longer than ours, and bounded: beyond, nobody asks again."""
    error = RateLimited("429", retry_after_ms=asked_ms)
    drawn = POLICY.delay_seconds(1, error, lambda: 0.0 if pause != 1.0 else 1.0)

    assert drawn == pause


def test_what_would_be_said_again_is_not_asked_again() -> None:
    """Only the verdict `again` has a pause."""
    assert POLICY.delay_seconds(1, UpstreamRejected("400"), lambda: 1.0) is None
