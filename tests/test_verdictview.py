"""A verdict in the terminal."""

from typing import Any

from llm_stream.cli.textcells import cells
from llm_stream.cli.verdictview import criterion_lines, verdict_lines


def criterion(**more: Any) -> dict[str, Any]:
    """A judged criterion as the service tells it."""
    return {"id": "c1", "title": "Pages are listed", "weight": 1.0, "required": False,
            "reason": "They are.", "rating": "met", "score": 1.0, "evidence": [],
            "missing": []} | more  # fmt: skip


def verdict(**more: Any) -> dict[str, Any]:
    """A verdict as the service answers it."""
    confidence = {"value": 0.5, "method": "agreement", "samples": 3, "spread": 0.1}
    return {"verdict": "uncertain", "score": 0.66, "threshold": 0.7, "confidence": confidence,
            "criteria": [criterion()], "blocking": [], "reasoning": "",
            "checks": {"stopped_early": False}} | more  # fmt: skip


def test_a_criterion_that_does_not_apply() -> None:
    """Its rating is cut to fit, and the rest stands below its title."""
    lines = list(criterion_lines(criterion(rating="not_applicable", reason=""), 80))

    assert lines == ["n/a      Pages are listed"]


def test_no_line_is_too_wide() -> None:
    """Titles, reasons, quotes and gaps go on below themselves."""
    gap = {"what": "what " * 20, "why": "", "severity": "high", "next_action": ""}
    quote = {"source": "notes", "quote": "said\n" * 30}
    value = criterion(title="title " * 20, reason="because " * 30, evidence=[quote], missing=[gap])

    lines = list(criterion_lines(value, 60))

    assert max(map(cells, lines)) <= 60
    assert any(line.startswith('         > "said said') for line in lines)
    assert any(line.startswith("         - high: what") for line in lines)


def test_what_it_comes_to() -> None:
    """Score, what is needed, how sure it is, and what stands in its way."""
    early = verdict(blocking=["c1"], score=None, checks={"stopped_early": True})

    assert list(verdict_lines(verdict(), 80)) == [
        "uncertain: 1 of 1 met, score 0.66, 0.7 needed, confidence 0.5 of 3 samples"
    ]
    assert list(verdict_lines(early, 80))[1:] == [
        "blocked by: Pages are listed",
        "not all were judged: a required one is unmet",
    ]
