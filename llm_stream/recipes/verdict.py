"""The arithmetic of a verdict: what code computes, so that no model can talk it round."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Final, Literal

Rating = Literal["met", "partial", "unmet", "not_applicable"]

RATINGS: Final[tuple[Rating, ...]] = ("met", "partial", "unmet", "not_applicable")
POINTS: Final[Mapping[Rating, float]] = {"met": 1.0, "partial": 0.5, "unmet": 0.0}

Judgements = Mapping[str, Sequence[Rating]]
"""{criterion id: its ratings, one a sample}."""


def settle(ratings: Sequence[Rating]) -> Rating:
    """One rating out of several samples': the most frequent, the harsher one of two equals.

    What does not apply counts as no harsher than met.
    """
    counts = Counter(ratings)
    return max(
        counts,
        key=lambda rating: (counts[rating], -POINTS.get(rating, 1.0), -RATINGS.index(rating)),
    )


def score_of(criteria: Sequence[Mapping[str, Any]], ratings: Mapping[str, Rating]) -> float | None:
    """Weighted mean of points, 0 to 1, over criteria that apply; None if none does."""
    counted = [
        (criterion["weight"], POINTS[ratings[criterion["id"]]])
        for criterion in criteria
        if ratings.get(criterion["id"], "not_applicable") != "not_applicable"
    ]
    weight = sum(weight for weight, _ in counted)
    return sum(weight * points for weight, points in counted) / weight if weight else None


def sufficient(
    criteria: Sequence[Mapping[str, Any]], ratings: Mapping[str, Rating], threshold: float
) -> bool:
    """Whether the score reaches the threshold and no required criterion is unmet."""
    score = score_of(criteria, ratings)
    blocked = any(c["required"] and ratings.get(c["id"]) == "unmet" for c in criteria)
    return score is not None and score >= threshold and not blocked


def judge(
    criteria: Sequence[Mapping[str, Any]], judgements: Judgements, threshold: float
) -> dict[str, Any]:
    """The computed part of a verdict.

    Criteria that were not judged (early stop) count as not applicable. Samples are whole
    judgements of all criteria: the n-th rating of each. Where they fall on both sides of the
    threshold, or all on the other side than the ratings settled criterion by criterion, the
    verdict is `uncertain`, which is never sufficient.
    """
    settled = {name: settle(ratings) for name, ratings in judgements.items() if ratings}
    samples = min((len(ratings) for ratings in judgements.values() if ratings), default=0)
    each = [
        {name: ratings[n] for name, ratings in judgements.items() if len(ratings) > n}
        for n in range(samples)
    ]
    votes = [sufficient(criteria, ratings, threshold) for ratings in each]
    scores = [score for ratings in each if (score := score_of(criteria, ratings)) is not None]
    score = fmean(scores) if scores else None
    passed = sufficient(criteria, settled, threshold)
    if score is None or set(votes) != {passed}:
        verdict = "uncertain"
    else:
        verdict = "sufficient" if passed else "insufficient"
    if any(c["required"] and settled.get(c["id"]) == "unmet" for c in criteria):
        verdict = "insufficient"
    return {
        "is_sufficient": verdict == "sufficient",
        "verdict": verdict,
        "score": None if score is None else round(score, 4),
        "threshold": threshold,
        "confidence": confidence(votes, scores, threshold, passed=passed),
        "blocking": [
            c["id"] for c in criteria if c["required"] and settled.get(c["id"]) == "unmet"
        ],
    }


def confidence(
    votes: Sequence[bool], scores: Sequence[float], threshold: float, *, passed: bool
) -> dict[str, Any]:
    """How sure the verdict is, 0 to 1.

    The share of samples that come to the same end as the settled ratings (`passed`); with one
    sample only, its distance from the threshold.
    """
    spread = round(max(scores) - min(scores), 4) if scores else None
    if len(votes) > 1:
        value = votes.count(passed) / len(votes)
        return {"value": round(value, 4), "method": "agreement", "samples": len(votes),
                "spread": spread}  # fmt: skip
    room = max(threshold, 1 - threshold) or 1.0
    value = abs(scores[0] - threshold) / room if scores else 0.0
    return {"value": round(value, 4), "method": "distance", "samples": len(votes), "spread": spread}
