"""The arithmetic of a plan, against a plain reference."""

from itertools import pairwise
from typing import Any

import networkx as nx  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_stream.errors import InvalidOutput
from llm_stream.recipes.plan import PlanBuilder, compare, compute
from llm_stream.recipes.schemas import hold_against
from llm_stream.recipes.taskschema import TASK_SCHEMA


def task(name: str, *needs: str, hours: float = 1) -> dict[str, Any]:
    """A task that takes so many hours."""
    return {"id": name, "depends_on": list(needs), "effort": {"likely": hours}}


def ids(tasks: list[dict[str, Any]]) -> list[str]:
    """Their ids."""
    return [each["id"] for each in tasks]


def test_tasks_are_given_out_dependencies_first() -> None:
    """A task that comes too early is held until what it needs is there."""
    builder = PlanBuilder()

    assert ids(builder.add(task("pay", "cart"))) == []
    assert ids(builder.add(task("cart"))) == ["cart", "pay"]
    assert builder.held == {}


def test_duplicates_are_told() -> None:
    """A second task of an id is dropped, a dependency named twice counts once."""
    builder = PlanBuilder()
    builder.add(task("a"))
    builder.add(task("a"))
    (b,) = builder.add(task("b", "a", "a"))

    assert builder.duplicates == ["a"]
    assert builder.repeated == 1
    assert b["depends_on"] == ["a"]


def test_cycles_and_unknown_dependencies_are_named_and_fixed() -> None:
    """Faults say what holds what; given other dependencies the tasks go out."""
    builder = PlanBuilder()
    for each in (task("a", "b"), task("b", "a"), task("c", "ghost")):
        builder.add(each)
    cycles, dangling = builder.faults()

    assert len(cycles) == 1
    assert set(cycles[0]) == {"a", "b"}
    assert dangling == ["c -> ghost"]
    assert ids(builder.fix({"a": [], "nobody": []})) == ["a", "b"]
    assert ids(builder.force()) == ["c"]


def test_every_cycle_is_named() -> None:
    """Cycles apart from each other, ones that share a task, and tasks that need themselves."""
    builder = PlanBuilder()
    for each in (
        task("a", "b"), task("b", "a"),
        task("c", "d"), task("d", "c", "e"), task("e", "d"),
        task("f", "f"), task("g", "a"),
    ):  # fmt: skip
        builder.add(each)
    cycles, dangling = builder.faults()

    assert sorted(sorted(cycle) for cycle in cycles) == [["a", "b"], ["c", "d"], ["d", "e"], ["f"]]
    assert dangling == []
    assert builder.held["d"]["depends_on"] == ["c", "e"]


def test_force_leaves_nothing_held() -> None:
    """Every cycle is cut, however many there are."""
    builder = PlanBuilder()
    for each in (task("a", "a"), task("b", "c"), task("c", "b", "a")):
        builder.add(each)

    assert sorted(ids(builder.force())) == ["a", "b", "c"]
    compute(builder.tasks)


def test_a_small_shop() -> None:
    """Groups, critical path, slack, makespan and total of a plan one can check by hand."""
    computed = compute(
        [
            task("design", hours=2),
            task("cart", "design", hours=3),
            task("text", "design", hours=1),
            task("launch", "cart", "text", hours=1),
        ]
    )

    assert computed == {
        "groups": [["design"], ["cart", "text"], ["launch"]],
        "critical_path": ["design", "cart", "launch"],
        "makespan": 6.0,
        "total_effort": 7.0,
        "slack": {"design": 0.0, "cart": 0.0, "text": 2.0, "launch": 0.0},
        "ready_first": ["design"],
    }


def test_tasks_without_effort_are_on_the_critical_path() -> None:
    """What takes no time and comes last, such as a checkpoint, still ends the path."""
    nothing = compute([task("a", hours=0), task("b", "a", hours=0)])
    ended = compute([task("a"), task("done", "a", hours=0)])

    assert nothing["critical_path"] == ["a", "b"]
    assert ended["critical_path"] == ["a", "done"]


def test_effort_has_a_limit() -> None:
    """A task that takes longer than 100000 hours is no task; sums stay numbers that JSON has."""
    effort = TASK_SCHEMA["properties"]["effort"]
    hours = {"low": 0, "likely": 100_000, "high": 100_000, "unit": "hours"}
    hold_against(effort, hours)

    for name in ("low", "likely", "high"):
        with pytest.raises(InvalidOutput, match=name):
            hold_against(effort, hours | {name: 1e308})


def test_an_empty_plan_is_nothing() -> None:
    """No tasks, no time."""
    assert compute([])["makespan"] == 0.0
    assert compute([])["critical_path"] == []


def test_a_plan_is_compared_by_id() -> None:
    """What is new, different and gone."""
    before = [task("a"), task("b"), task("c")]
    after = [task("a"), task("b", hours=2), task("d")]

    assert compare(before, after) == {"added": ["d"], "changed": ["b"], "removed": ["c"]}


@st.composite
def plans(draw: Any) -> list[dict[str, Any]]:
    """Acyclic plans: a task depends only on ones before it."""
    count = draw(st.integers(1, 12))
    return [
        task(
            f"t{n}",
            *draw(st.lists(st.sampled_from([f"t{m}" for m in range(n)]), unique=True)) if n else (),
            hours=draw(st.integers(1, 9)),
        )
        for n in range(count)
    ]


@given(plans())
def test_computations_agree_with_networkx(tasks: list[dict[str, Any]]) -> None:
    """Groups are its topological generations, the makespan its longest path; slack is exact."""
    graph: Any = nx.DiGraph()
    hours = {each["id"]: each["effort"]["likely"] for each in tasks}
    for each in tasks:
        graph.add_node(each["id"])
        graph.add_edges_from((needed, each["id"]) for needed in each["depends_on"])
    computed = compute(tasks)

    def longest(names: list[str]) -> Any:
        return max(
            (
                sum(hours[n] for n in path)
                for source in names
                for target in names
                for path in nx.all_simple_paths(graph, source, target)
            ),
            default=max(hours.values()),
        )

    makespan = max(longest(list(graph)), *hours.values())
    assert [set(group) for group in computed["groups"]] == [
        set(generation) for generation in nx.topological_generations(graph)
    ]
    assert computed["makespan"] == makespan
    path = computed["critical_path"]
    assert sum(hours[name] for name in path) == makespan
    assert all(graph.has_edge(a, b) for a, b in pairwise(path))
    assert all(computed["slack"][name] == 0 for name in path)
    for name, slack in computed["slack"].items():
        # Slack is what the task may grow by without the whole taking longer.
        longer = compute([
            each | {"effort": {"likely": each["effort"]["likely"] + (slack if each["id"] == name
                                                                    else 0)}}
            for each in tasks
        ])  # fmt: skip
        assert longer["makespan"] == makespan
