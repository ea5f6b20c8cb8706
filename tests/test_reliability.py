"""docs/reliability.md is complete: every promise and fault has a row, every row a test."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from llm_stream.resources import resource

ROOT = Path(__file__).parent.parent
ROWS = [f"P{number}" for number in range(1, 9)] + [str(number) for number in range(1, 25)]

OPEN: set[str] = set()
"""Rows of which something is still to be shown; whoever shows it takes the row off this list."""

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> dict[str, str]:
    """The rows of the document's tables, by their name."""
    text = resource("docs").joinpath("reliability.md").read_text("utf-8")
    return dict(re.findall(r"^\| (P?\d+) \| (.*)$", text, re.MULTILINE))


@cache
def names_of(path: str) -> frozenset[str]:
    """The names of a file's tests; none, if there is no such file."""
    file = ROOT / path
    tree = ast.parse(file.read_text("utf-8")) if file.exists() else ast.Module([], [])
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def test_every_promise_and_fault_has_its_row() -> None:
    """No row is missing, and none is about something else."""
    assert [*rows()] == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_tests_that_exist(row: str) -> None:
    """A row without a test, or with one that is no more, shows nothing."""
    named = NAMED.findall(rows()[row])

    assert [f"{path}::{name}" for path, name in named if name not in names_of(path)] == []
    assert named or row in OPEN


def test_what_is_open_is_marked_and_nothing_else() -> None:
    """`open:` with a reason stands in the rows that are listed here, and in no other."""
    assert {row for row, text in rows().items() if re.search(r"open: \w+", text)} == OPEN


def test_all_names_of_faults_are_told_of() -> None:
    """Whatever tests/faults shows, the document names."""
    text = resource("docs").joinpath("reliability.md").read_text("utf-8")
    told = {f"{path}::{name}" for path, name in NAMED.findall(text)}
    files = [f"tests/faults/{path.name}" for path in (ROOT / "tests/faults").glob("test_*.py")]
    there = {f"{file}::{name}" for file in files for name in names_of(file) if "test_" in name[:5]}

    assert sorted(there - told) == []
