"""The breaker: when it opens, who is let through, and what closes it."""

import pytest

from llm_stream.models.resilience.breaker import Breaker


class Clock:
    """Monotonic seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """Opens after three failures, for ten seconds."""
    return Breaker(3, 10, clock)


def fail(breaker: Breaker, times: int) -> None:
    """Calls that fail one after the other."""
    for _ in range(times):
        breaker.failed(probe=breaker.begin())


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    """The third closes the way for ten seconds."""
    fail(breaker, 2)
    assert breaker.blocked_seconds() is None
    fail(breaker, 1)

    assert (breaker.state, breaker.blocked_seconds()) == ("open", 10)


def test_an_answer_in_between_starts_the_count_anew(breaker: Breaker) -> None:
    """Only failures in a row say that a model is down."""
    fail(breaker, 2)
    breaker.answered()
    fail(breaker, 2)

    assert breaker.state == "closed"


def test_one_probe_at_a_time(breaker: Breaker, clock: Clock) -> None:
    """After its time one call is let through; the others wait for what it tells."""
    fail(breaker, 3)
    clock.now += 10
    assert (breaker.state, breaker.blocked_seconds()) == ("half-open", None)

    assert breaker.begin()
    assert breaker.blocked_seconds() == 0


def test_a_probe_that_answers_closes_it(breaker: Breaker, clock: Clock) -> None:
    """Then everybody is let in, and the count is at nothing."""
    fail(breaker, 3)
    clock.now += 10
    breaker.begin()
    breaker.answered()
    fail(breaker, 2)

    assert (breaker.state, breaker.blocked_seconds()) == ("closed", None)


def test_a_probe_that_fails_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    """One failure is enough then, for as long as before."""
    fail(breaker, 3)
    clock.now += 12
    fail(breaker, 1)

    assert (breaker.state, breaker.blocked_seconds()) == ("open", 10)


def test_a_probe_that_tells_nothing_makes_room_for_another(breaker: Breaker, clock: Clock) -> None:
    """A cancelled probe does not block the model for ever."""
    fail(breaker, 3)
    clock.now += 10
    breaker.told_nothing(probe=breaker.begin())

    assert breaker.blocked_seconds() is None


def test_late_failures_do_not_prolong_it(breaker: Breaker, clock: Clock) -> None:
    """Calls that were under way when it opened fail later, and change nothing."""
    fail(breaker, 3)
    clock.now += 9
    breaker.failed(probe=False)

    assert breaker.blocked_seconds() == 1


def test_a_providers_breaker_needs_two_models(clock: Clock) -> None:
    """One model that fails, however often, is not the provider's outage; a second one makes it."""
    provider = Breaker(3, 10, clock, models=2)
    for _ in range(9):
        provider.failed(probe=provider.begin(), model="a")
    assert provider.blocked_seconds() is None
    provider.failed(probe=provider.begin(), model="b")

    assert provider.blocked_seconds() == 10


def test_an_answer_of_any_model_starts_anew(clock: Clock) -> None:
    """Models that failed before it no longer count."""
    provider = Breaker(2, 10, clock, models=2)
    provider.failed(probe=False, model="a")
    provider.answered()
    provider.failed(probe=False, model="b")
    provider.failed(probe=False, model="b")

    assert provider.state == "closed"
