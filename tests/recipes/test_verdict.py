"""The arithmetic of a verdict."""

from typing import Any

import pytest

from llm_stream.recipes.verdict import Rating, judge, settle


def criteria(*rows: tuple[str, float, bool]) -> list[dict[str, Any]]:
    """Criteria of (id, weight, required)."""
    return [{"id": name, "weight": weight, "required": required} for name, weight, required in rows]


THREE = criteria(("a", 2.0, True), ("b", 1.0, False), ("c", 1.0, False))


@pytest.mark.parametrize(
    ("a", "b", "c", "score", "verdict"),
    [
        ("met", "met", "met", 1.0, "sufficient"),
        ("met", "partial", "unmet", 0.625, "insufficient"),
        ("met", "met", "unmet", 0.75, "sufficient"),
        ("partial", "met", "met", 0.75, "sufficient"),
        ("unmet", "met", "met", 0.5, "insufficient"),
        ("met", "not_applicable", "not_applicable", 1.0, "sufficient"),
        ("not_applicable", "not_applicable", "not_applicable", None, "uncertain"),
    ],
)
def test_score_and_verdict(
    a: Rating, b: Rating, c: Rating, score: float | None, verdict: str
) -> None:
    """The weighted mean decides at the threshold; what does not apply does not count."""
    result = judge(THREE, {"a": [a], "b": [b], "c": [c]}, 0.7)

    assert (result["score"], result["verdict"]) == (score, verdict)
    assert result["is_sufficient"] == (verdict == "sufficient")


def test_an_unmet_required_criterion_decides_alone() -> None:
    """However high the score, it is insufficient and says what blocks."""
    rows = criteria(("a", 0.01, True), ("b", 100.0, False))
    result = judge(rows, {"a": ["unmet"], "b": ["met"]}, 0.5)

    assert result["verdict"] == "insufficient"
    assert result["blocking"] == ["a"]


def test_samples_on_both_sides_of_the_threshold_are_uncertain() -> None:
    """Disagreement is told as such, and is not sufficient."""
    rows = criteria(("a", 1.0, False))
    result = judge(rows, {"a": ["met", "met", "unmet"]}, 0.7)

    assert result["verdict"] == "uncertain"
    assert not result["is_sufficient"]
    assert result["confidence"] == {
        "value": 0.6667, "method": "agreement", "samples": 3, "spread": 1.0,
    }  # fmt: skip


def test_agreeing_samples_are_confident() -> None:
    """All samples on one side: full agreement."""
    rows = criteria(("a", 1.0, False))

    assert judge(rows, {"a": ["met"] * 3}, 0.7)["confidence"]["value"] == 1.0


def test_one_sample_is_as_sure_as_it_is_far_from_the_threshold() -> None:
    """On the threshold itself there is no confidence at all."""
    rows = criteria(("a", 1.0, False))

    assert judge(rows, {"a": ["partial"]}, 0.5)["confidence"]["value"] == 0.0
    assert judge(rows, {"a": ["unmet"]}, 0.5)["confidence"]["value"] == 1.0


def test_nothing_judged_is_uncertain() -> None:
    """Without a judgement nothing is claimed."""
    assert judge(THREE, {"a": [], "b": [], "c": []}, 0.7)["verdict"] == "uncertain"


@pytest.mark.parametrize(
    ("ratings", "settled"),
    [(["met", "met", "unmet"], "met"), (["met", "unmet"], "unmet"),
     (["partial", "met"], "partial"), (["not_applicable", "met", "met"], "met")],
)  # fmt: skip
def test_samples_settle_on_the_most_frequent_or_the_harsher(
    ratings: list[Rating], settled: Rating
) -> None:
    """A majority wins; two equals settle on the worse."""
    assert settle(ratings) == settled


@pytest.mark.parametrize(
    ("judgements", "threshold"),
    [
        ({"a": ["met", "met", "unmet"], "b": ["met", "unmet", "met"],
          "c": ["unmet", "met", "met"]}, 0.7),
        ({"a": ["met", "unmet"], "b": ["unmet", "met"]}, 0.5),
    ],
)  # fmt: skip
def test_no_verdict_that_no_sample_came_to(
    judgements: dict[str, list[Rating]], threshold: float
) -> None:
    """Where criteria settle to another end than every sample, it is uncertain and says so."""
    rows = criteria(*((name, 1.0, False) for name in judgements))
    result = judge(rows, judgements, threshold)

    assert result["verdict"] == "uncertain"
    assert result["confidence"]["value"] == 0.0
