"""What is counted of a run's payloads, and when they came."""

import hashlib
import tracemalloc
from typing import Any

import pytest

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.runinfo import Outcome
from llm_stream.engine.tally import HASH_CHARS, Tally
from llm_stream.errors import OutputTooLarge

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


STEP: Any = {"type": "text.delta", "text": "draft", "step": "draft"}


def figures(tally: Tally) -> Any:
    """All that a tally tells."""
    done = tally.completed(Outcome("stop"))
    return done, tally.said_chars, tally.chunks, tally.mean_gap_ms, tally.longest_gap_ms


@pytest.mark.parametrize(
    "together",
    [[DELTA], [DELTA, DELTA, DELTA], [THOUGHT, DELTA], [DELTA, STEP], [USAGE], []],
    ids=["one", "text", "a thought", "a step", "usage", "none"],
)
def test_what_comes_together_counts_as_one_by_one(together: list[Any]) -> None:
    """Text, its hash and its times are the same."""
    at_once, singly = Tally(), Tally()
    for t_ms in (3, 10):
        at_once.count_all(together, t_ms)
        for payload in together:
            singly.count(payload, t_ms)

    assert figures(at_once) == figures(singly)


def test_what_a_full_log_refuses_is_not_counted() -> None:
    """What stood before it is, and is in the log."""
    tally, log = Tally(), EventLog("run_1", max_bytes=600)
    with pytest.raises(OutputTooLarge):
        tally.record(log, [DELTA] * 10)

    assert 0 < tally.chunks == len(log) < 10


def held(tally: Tally, log: EventLog, text: str, times: int) -> int:
    """Bytes that Python holds more for each of so many pieces of text, besides the log's."""
    tracemalloc.start()
    try:
        before, kept = tracemalloc.get_traced_memory()[0], log.bytes
        for number in range(times):
            tally.record(log, [{"type": "text.delta", "text": f"{number:02}{text}"}])
        return (tracemalloc.get_traced_memory()[0] - before - log.bytes + kept) // times
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [10, 200_000])
def test_text_is_kept_by_the_log_alone(size: int) -> None:
    """What waits to be hashed with more is little."""
    tally, log = Tally(), EventLog("run_1", max_bytes=10_000_000)
    tally.record(log, [{"type": "text.delta", "text": "x"}])

    assert held(tally, log, "x" * size, 15) < 1000


def test_the_hash_is_that_of_all_the_text() -> None:
    """However it came: long and short pieces, alone and together."""
    tally, log = Tally(), EventLog("run_1", max_bytes=10_000_000)
    pieces = ["a", "\u00e9" * HASH_CHARS, *"bcdefghijklmnopqrstuvw", "x" * (HASH_CHARS - 1), "y"]
    for piece in pieces:
        tally.record(log, [{"type": "text.delta", "text": piece}])
    tally.record(log, [{"type": "text.delta", "text": piece} for piece in pieces])

    expected = hashlib.sha256("".join(pieces * 2).encode()).hexdigest()
    assert tally.completed(Outcome("stop"))["text_sha256"] == expected
