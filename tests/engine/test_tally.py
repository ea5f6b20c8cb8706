"""What is counted of a run's payloads, and when they came."""

from typing import Any

import pytest

from llm_stream.engine.tally import Tally

DELTA: Any = {"type": "text.delta", "text": "a"}
THOUGHT: Any = {"type": "reasoning.delta", "text": "hm"}
USAGE: Any = {
    "type": "usage", "model": "m", "input_tokens": 1, "output_tokens": 2, "details": None,
    "estimated": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("pieces", "mean", "longest"),
    [
        ([], None, 0),
        ([(DELTA, 5)], None, 0),
        ([(DELTA, 5), (DELTA, 15)], 10.0, 10),
        ([(THOUGHT, 5), (DELTA, 105), (DELTA, 125)], 60.0, 100),
        ([(DELTA, 5), (USAGE, 900), (DELTA, 25)], 20.0, 20),
    ],
    ids=["none", "one", "two", "reasoning is output", "usage is none"],
)
def test_gaps_are_those_between_pieces_of_output(
    pieces: list[tuple[Any, int]], mean: float | None, longest: int
) -> None:
    """Mean and longest gap count from one visible piece to the next."""
    tally = Tally()
    for payload, t_ms in pieces:
        tally.count(payload, t_ms)

    assert (tally.mean_gap_ms, tally.longest_gap_ms) == (mean, longest)


def test_the_first_piece_says_when_output_began() -> None:
    """It is the time of the piece, not of what came before it."""
    tally = Tally()
    for payload, t_ms in ((USAGE, 1), (THOUGHT, 7), (DELTA, 9)):
        tally.count(payload, t_ms)

    assert tally.first_token_ms == 7


def test_another_replica_asks_the_first_model_again() -> None:
    """Its answer is not a fallback's; what was said before was said nonetheless."""
    tally = Tally()
    failed: Any = {
        "type": "attempt.failed", "attempt": 1, "model": "m", "error": {},
        "next": {"model": "b", "delay_ms": 0},
    }  # fmt: skip
    restarted: Any = {"type": "run.restarted", "reason": "owner_lost"}
    for payload in (failed, THOUGHT, DELTA, restarted, DELTA):
        tally.count(payload, 1)

    assert tally.model is None
    assert (tally.text_chars, tally.said_chars) == (1, 4)
