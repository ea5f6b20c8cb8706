"""How long is tried again, and how it is waited."""

import pytest

from llm_stream.client.patience import BASE_SECONDS, CAP_SECONDS, Patience
from llm_stream.client.problems import Unreachable

from ..engine.conftest import Clock


def failing(retry_after_ms: int | None = None) -> Unreachable:
    """One more failure."""
    return Unreachable("away", retry_after_ms=retry_after_ms)


def test_pauses_grow_up_to_a_cap() -> None:
    """Twice as long each time, with full jitter."""
    patience = Patience(1000, Clock(), jitter=lambda: 1.0)
    pauses = [patience.pause(failing()) for _ in range(8)]

    assert pauses == [min(CAP_SECONDS, BASE_SECONDS * 2**n) for n in range(8)]
    assert Patience(1000, Clock(), jitter=lambda: 0.0).pause(failing()) == 0


def test_advice_is_the_least() -> None:
    """What the service has said comes before what the jitter adds."""
    patience = Patience(1000, Clock(), jitter=lambda: 0.5)

    assert patience.pause(failing(3000)) == 3 + BASE_SECONDS / 2


def test_patience_ends_with_the_last_error() -> None:
    """Counted from the first failure after the last success; a pause beyond it is not begun."""
    clock = Clock()
    patience = Patience(10, clock, jitter=lambda: 0.0)
    patience.pause(failing())
    clock.now += 9
    patience.pause(failing())
    patience.progressed()
    clock.now += 9
    patience.pause(failing())
    clock.now += 9
    error = failing(2000)
    with pytest.raises(Unreachable) as caught:
        patience.pause(error)

    assert caught.value is error


def test_without_patience_nothing_is_tried_again() -> None:
    """The first error is raised."""
    with pytest.raises(Unreachable):
        Patience(0, Clock()).pause(failing())
