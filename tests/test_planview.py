"""A plan in the terminal."""

from typing import Any

import pytest

from llm_stream.cli.planview import plan_lines
from llm_stream.cli.textcells import cells
from llm_stream.recipes.plan import compute

from .shelled import task


def plan(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plan as the service answers it."""
    top = [each for each in tasks if "parent" not in each]
    return {
        "tasks": list(tasks),
        "computed": compute(top),
        "checks": {"uncovered_requirements": []},
        "open_questions": [],
    } | more


def test_parts_stand_below_their_task() -> None:
    """With their own ids, deeper with each level, and no mark: only waves have a path."""
    part = task("shop.basket", parent="shop", title="Basket")
    deep = task("shop.basket.sum", "shop.basket.rows", parent="shop.basket", title="Sum")

    lines = list(plan_lines(plan(task("shop"), part, deep), 80))

    assert [line[:12].rstrip() for line in lines[:5]] == [
        "wave 1",
        " * shop",
        "   .basket",
        "   ..sum",
        "",
    ]
    assert lines[4].strip() == "after shop.basket.rows"
    assert lines[-1] == "  2 hours at least, 2 hours of work in 3 tasks"


def test_kinds_and_changes_are_told() -> None:
    """A decision is no task; what a new plan changes is named."""
    changes = {"added": ["pay"], "changed": [], "removed": ["cash", "bills"]}
    result = plan(task("pay", type="decision"), changes=changes, open_questions=["Who?", "When?"])

    lines = list(plan_lines(result, 80))

    assert "[decision] Build the pay" in lines[1]
    assert lines[-4:] == ["  open: Who?", "  open: When?", "  added: pay", "  removed: cash, bills"]


def test_no_tasks() -> None:
    """A plan may be empty."""
    assert list(plan_lines(plan(), 80)) == ["no tasks"]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_is_too_wide(columns: int) -> None:
    """Long ids are cut, long titles and lists go on below, whatever characters they have."""
    names = [f"task-with-a-very-long-name-{n}" for n in range(8)]
    first = [task(name, title="\u65e5\u672c\u8a9e " * 20) for name in names]
    last = task("last", *names, title="word " * 40, type="checkpoint", hours=99_999)
    result = plan(*first, last, open_questions=["why " * 60])

    lines = list(plan_lines(result, columns))

    assert max(map(cells, lines)) <= columns


def test_wide_efforts_leave_room_for_titles() -> None:
    """On a narrow terminal such lines are too wide, rather than without end."""
    effort = {"low": 100_000, "likely": 100_000, "high": 100_001, "unit": "hours"}

    lines = list(plan_lines(plan(task("a-long-name", title="Build all", effort=effort)), 40))

    assert lines[1:3] == [
        " * a-long-...  Build     100000 h (100000-100001)",
        "               all",
    ]


def test_it_cannot_steer_the_terminal() -> None:
    """Titles and ids come from models."""
    lines = plan_lines(plan(task("a", title="\x1b[2J\nred")), 80)

    assert "\x1b" not in "".join(lines)
