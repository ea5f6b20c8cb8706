"""One judged criterion: the shape a model answers in, and what code makes of it."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from llm_stream.recipes.quotes import find_quote
from llm_stream.recipes.verdict import POINTS, RATINGS, Rating, settle

MISSING_SCHEMA: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["what", "why", "severity", "next_action"],
    "properties": {
        "what": {"type": "string", "maxLength": 120},
        "why": {"type": "string", "maxLength": 120},
        "severity": {"enum": ["low", "medium", "high"]},
        "next_action": {"type": "string", "maxLength": 120},
    },
}
JUDGEMENT_SCHEMA: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reason", "evidence", "rating", "missing"],
    # The reason comes before the rating, so that the model thinks before it judges.
    "properties": {
        "reason": {"type": "string", "maxLength": 300},
        "evidence": {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["source", "quote"],
                "properties": {
                    "source": {"type": "string", "maxLength": 64},
                    "quote": {"type": "string", "maxLength": 200},
                },
            },
        },
        "rating": {"enum": list(RATINGS)},
        "missing": {"type": "array", "maxItems": 2, "items": MISSING_SCHEMA},
    },
}
RUBRIC_SCHEMA: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["criteria"],
    "properties": {
        "criteria": {
            "type": "array",
            "minItems": 1,
            "maxItems": 6,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["title", "required"],
                "properties": {
                    "title": {"type": "string", "minLength": 3, "maxLength": 120},
                    "required": {"type": "boolean"},
                },
            },
        }
    },
}


def numbered(titles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Derived criteria in the shape of given ones."""
    return [
        {"id": f"c{n}", "title": c["title"], "weight": 1.0, "required": c["required"]}
        for n, c in enumerate(titles, 1)
    ]


def verified(
    answer: Mapping[str, Any], texts: Mapping[str, str], checks: dict[str, int]
) -> dict[str, Any]:
    """The answer with only those quotes that stand in the input; the others are counted."""
    found = [find_quote(e["quote"], e["source"], texts) for e in answer["evidence"]]
    checks["dropped_quotes"] += found.count(None)
    return {**answer, "evidence": [f.as_evidence() for f in found if f is not None]}


def in_order(answers: Mapping[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers by the number of their sample, whichever came first: a verdict knows no clock."""
    return [answers[sample] for sample in sorted(answers)]


def ratings_of(answers: list[dict[str, Any]]) -> list[Rating]:
    """The rating of each answer."""
    return [answer["rating"] for answer in answers]


def judged_criterion(criterion: Mapping[str, Any], answers: list[dict[str, Any]]) -> dict[str, Any]:
    """One criterion of the verdict; reason and evidence are those of a sample with its rating.

    Args:
        criterion: what was asked.
        answers: of each sample, in order.
    """
    ratings = ratings_of(answers)
    rating = settle(ratings)
    spoken = answers[ratings.index(rating)]
    counted = [POINTS[r] for r in ratings if r != "not_applicable"]
    return {
        **criterion,
        "reason": spoken["reason"],
        "rating": rating,
        "score": round(sum(counted) / len(counted), 4) if counted else None,
        "evidence": spoken["evidence"],
        "missing": spoken["missing"],
    }


def reasoning(computed: Mapping[str, Any], items: list[dict[str, Any]], *, stopped: bool) -> str:
    """The verdict in words, made of what was computed."""
    met = sum(item["rating"] == "met" for item in items)
    lines = [f"{computed['verdict'].capitalize()}: {met} of {len(items)} criteria met"]
    if computed["score"] is not None:
        lines[0] += f", score {computed['score']:.2f} of {computed['threshold']:.2f} needed"
    lines[0] += "."
    if computed["blocking"]:
        lines.append(f"Required and unmet: {', '.join(computed['blocking'])}.")
    if stopped:
        lines.append("Judging stopped there, as asked.")
    lines += [f"{item['title']}: {item['rating']}. {item['reason']}" for item in items]
    return "\n".join(lines)


def rubric_hash(criteria: list[dict[str, Any]]) -> str:
    """16 hexadecimal digits that name this set of criteria."""
    data = orjson.dumps(criteria, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(data).hexdigest()[:16]
