"""`llm-stream evaluate` and `breakdown`: what they ask, what they draw, and their codes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_stream.testing.scripted import Call

from .shelled import Shell, judged, shell_of, task

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One service for all tests of this file."""
    with shell_of(tmp_path_factory.mktemp("llm")) as shell:
        yield shell


@pytest.fixture
def shell(started: Shell) -> Shell:
    """It, without answers of before."""
    started.forget()
    return started


def said(*ratings: str) -> Any:
    """Answers with these ratings, in turn."""
    rest = iter(ratings)
    return lambda _call: judged(next(rest))


@pytest.mark.parametrize(
    ("ratings", "samples", "verdict", "code"),
    [
        (["met"], "1", "sufficient", 0),
        (["unmet"], "1", "insufficient", 3),
        (["met", "unmet"], "2", "uncertain", 4),
    ],
)
def test_the_verdict_is_the_exit_code(
    shell: Shell, ratings: list[str], samples: str, verdict: str, code: int
) -> None:
    """Sufficient, insufficient and uncertain, whatever shape is printed."""
    arguments = ("evaluate", "design", "-", "-c", "Pages are listed", "--samples", samples)
    for shape in ((), ("--json",), ("--events",)):
        shell.forget()
        shell.answers(said(*ratings))
        done = shell.run(*arguments, *shape, stdin="Pages: start, list.")

        assert done.exit_code == code, done.stderr
        assert verdict in done.stdout


def test_criteria_come_before_the_verdict(shell: Shell, tmp_path: Path) -> None:
    """Each with its reason, verified quotes and what is missing; then what it comes to."""
    (tmp_path / "notes.md").write_text("Pages: start, list.")
    (tmp_path / "more.txt").write_text("Returns are decided\n\n")
    gap = {"what": "No returns", "why": "Law", "severity": "high", "next_action": "decide"}
    quote = {"source": "notes.md", "quote": "Pages: start, list."}

    def answer(call: Call) -> Any:
        if "Returns" in str(call.messages[-1]):
            return judged("unmet", missing=[gap])
        return judged("met", evidence=[quote])

    shell.answers(answer)
    done = shell.run(
        "evaluate", "design", str(tmp_path / "notes.md"), "-r", "Pages are listed",
        "--criteria", str(tmp_path / "more.txt"), "--stage-data", '{"shop": "lamps"}',
    )  # fmt: skip

    assert done.exit_code == 3
    for block in (
        (
            "met      Pages are listed (required)\n"
            "         It is so.\n"
            '         > "Pages: start, list." (notes.md)\n'
        ),
        (
            "unmet    Returns are decided\n"
            "         It is so.\n"
            "         - high: No returns; next: decide\n"
        ),
    ):
        assert f"\n{block}" in f"\n{done.stdout}"
    assert done.stdout.splitlines()[-1].startswith("insufficient: 1 of 2 met, score 0.5, 0.7 need")


def test_what_is_judged(shell: Shell, tmp_path: Path) -> None:
    """Data out of files and threshold as they are given; documents by the names of their files."""
    (tmp_path / "state.json").write_text('{"week": 3}')
    (tmp_path / "a b.md").write_text("One.")
    shell.answers(said("met"))

    done = shell.run(
        "evaluate", "design", str(tmp_path / "a b.md"), "-c", "Fine", "--threshold", "0",
        "--project-state", str(tmp_path / "state.json"), "--json",
    )  # fmt: skip

    asked = str(shell.model.calls[-1].messages)
    assert done.exit_code == 0
    assert "week" in asked
    assert "source=a-b.md" in asked
    assert json.loads(done.stdout)["threshold"] == 0


def plan(*tasks: dict[str, Any], **more: Any) -> Any:
    """Answers with this plan."""
    return lambda _call: {"tasks": list(tasks), "open_questions": []} | more


def test_the_plan_is_drawn(shell: Shell) -> None:
    """Waves, what waits for what, effort, and the critical path, in 80 columns."""
    shell.answers(
        plan(
            task("schema", hours=8),
            task("pages", hours=3),
            task("api", "schema", hours=9),
            task("shop", "api", "pages", hours=5),
        )
    )

    done = shell.run("breakdown", "Build the shop.")

    assert done.exit_code == 0
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "wave 1: 2 at once",
        " * schema  Build the schema  8 h (1-9)",
        "   pages   Build the pages   3 h (1-9)",
        "",
        "wave 2",
        " * api     Build the api     9 h (1-9)",
        "           after schema",
        "",
        "wave 3",
        " * shop    Build the shop    5 h (1-9)",
        "           after api, pages",
        "",
        "* critical path: schema > api > shop",
        "  22 hours at least, 25 hours of work in 4 tasks",
    ]


def test_what_the_plan_has_to_cover(shell: Shell, tmp_path: Path) -> None:
    """Requirements get ids, what is not covered is told; an earlier plan is planned anew."""
    (tmp_path / "more.txt").write_text("Returns work\n")
    shell.answers(plan(task("pay", covers=["r1"]), open_questions=["Who pays?"]))
    first = shell.run("breakdown", "-", "--json", stdin="Build the checkout.")
    (tmp_path / "plan.json").write_text(first.stdout)

    done = shell.run(
        "breakdown", "Build the checkout.", "--requirement", "Cards work",
        "--requirements", str(tmp_path / "more.txt"), "--constraint", "By May",
        "--previous", str(tmp_path / "plan.json"), "--results", '[{"id": "pay", "ok": false}]',
        "--max-tasks", "3",
    )  # fmt: skip

    assert first.exit_code == done.exit_code == 0, done.stderr
    assert "  not covered: r2" in done.stdout
    assert "  open: Who pays?" in done.stdout
    asked = str(shell.model.calls[-1].messages)
    assert all(word in asked for word in ("By May", "Returns work", "at most 3 tasks"))
