"""The shape of a plan as a model writes it: bounded, so that a small model ends."""

from collections.abc import Sequence
from typing import Any, Final

DEPENDENCIES: Final = 8
"""Most tasks that one task may depend on."""

_ID: Final = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,31}$"}
_LINES: Final = {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 120}}
# Whole ones: grammars for small models can bound integers, and no other numbers.
_HOURS: Final = {"type": "integer", "minimum": 0, "maximum": 100_000}
_LEVEL: Final = {"enum": ["low", "medium", "high"]}

TASK_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "id", "title", "description", "type", "depends_on", "acceptance_criteria",
        "deliverables", "effort", "complexity", "priority", "risk", "expand", "covers",
    ],
    "properties": {
        "id": _ID,
        "title": {"type": "string", "minLength": 1, "maxLength": 80},
        "description": {"type": "string", "maxLength": 240},
        "type": {"enum": ["task", "checkpoint", "decision"]},
        "depends_on": {"type": "array", "maxItems": DEPENDENCIES, "items": _ID},
        "acceptance_criteria": _LINES,
        "deliverables": _LINES,
        "effort": {
            "type": "object",
            "additionalProperties": False,
            "required": ["low", "likely", "high", "unit"],
            "properties": {
                "low": _HOURS,
                "likely": _HOURS,
                "high": _HOURS,
                "unit": {"enum": ["hours"]},
            },
        },
        "complexity": _LEVEL,
        "priority": _LEVEL,
        "risk": {"type": "string", "maxLength": 120},
        "expand": {
            "type": "object",
            "additionalProperties": False,
            "required": ["recommended", "hint"],
            "properties": {
                "recommended": {"type": "boolean"},
                "hint": {"type": "string", "maxLength": 100},
            },
        },
        "covers": {"type": "array", "maxItems": 8, "items": {"type": "string", "maxLength": 32}},
    },
}  # fmt: skip


def fixes_schema(faulty: Sequence[str], fine: Sequence[str]) -> dict[str, Any]:
    """The schema of a repair: of no other tasks than the faulty ones, by ids that exist."""
    needed = {"enum": [*fine, *faulty]}
    fix = {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "depends_on"],
        "properties": {
            "id": {"enum": list(faulty)},
            "depends_on": {"type": "array", "maxItems": DEPENDENCIES, "items": needed},
        },
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["fixes"],
        "properties": {"fixes": {"type": "array", "maxItems": len(faulty), "items": fix}},
    }


def plan_schema(max_tasks: int) -> dict[str, Any]:
    """The schema of a whole answer with at most so many tasks, and as many questions."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["tasks", "open_questions"],
        "properties": {
            "tasks": {"type": "array", "minItems": 1, "maxItems": max_tasks, "items": TASK_SCHEMA},
            "open_questions": {
                "type": "array",
                "maxItems": min(5, max_tasks),
                "items": {"type": "string", "maxLength": 200},
            },
        },
    }
