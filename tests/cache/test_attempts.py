"""Attempts: one, then a pause."""

from llm_stream.cache.attempts import MAX_ANSWERS, PAUSE_SECONDS, Attempts

from ..engine.conftest import Clock


def test_an_attempt_is_due_after_a_pause() -> None:
    """The first at once, the next after ten seconds, each answer for itself."""
    clock = Clock()
    attempts = Attempts(clock)

    assert [attempts.due("a"), attempts.due("a"), attempts.due("b")] == [True, False, True]
    clock.now += PAUSE_SECONDS
    assert attempts.due("a")


def test_what_is_remembered_is_bounded() -> None:
    """Too many answers are forgotten together."""
    attempts = Attempts(Clock())
    for number in range(MAX_ANSWERS):
        attempts.due(str(number))
    assert not attempts.due("0")

    attempts.due("one more")

    assert attempts.due("0")
