"""The arithmetic of a plan: order, groups, critical path, slack. Pure; no model, no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

Task = dict[str, Any]


class PlanBuilder:
    """Takes tasks as a model writes them and gives them out dependencies first.

    A task whose dependencies have not all been given out is held. What can never be given
    out (a cycle, an unknown dependency) is left in `held` for a repair.

    Attributes:
        tasks: given out so far, in that order.
        held: {id: task} that waits for its dependencies.
        duplicates: tasks that came with an id already taken; they were dropped.
        repeated: dependencies named twice; they count once.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything: the plan is written again."""
        self.tasks: list[Task] = []
        self.held: dict[str, Task] = {}
        self.duplicates: list[str] = []
        self.repeated = 0
        self._given: set[str] = set()

    def add(self, task: Task) -> list[Task]:
        """Take one task; those that can be worked on now, in order."""
        name = task["id"]
        if name in self._given or name in self.held:
            self.duplicates.append(name)
            return []
        unique = list(dict.fromkeys(task["depends_on"]))
        self.repeated += len(task["depends_on"]) - len(unique)
        self.held[name] = task | {"depends_on": unique}
        return self._release()

    def fix(self, depends_on: Mapping[str, Sequence[str]]) -> list[Task]:
        """Give held tasks other dependencies; those that can be worked on now."""
        for name, needed in depends_on.items():
            if name in self.held:
                self.held[name]["depends_on"] = list(dict.fromkeys(needed))
        return self._release()

    def force(self) -> list[Task]:
        """Drop the dependencies that keep tasks held, unknown ones first, until none is."""
        known = self._given | set(self.held)
        for task in self.held.values():
            task["depends_on"] = [name for name in task["depends_on"] if name in known]
        released = self._release()
        while self.held:
            # Every cycle is cut at its first task in the model's own order.
            first = next(iter(self.held.values()))
            first["depends_on"] = [n for n in first["depends_on"] if n in self._given]
            released += self._release()
        return released

    def faults(self) -> tuple[list[list[str]], list[str]]:
        """What holds the held: cycles (ids in order), and "task -> unknown" pairs.

        Cycles that share a dependency with one that was named before are left out.
        """
        known = self._given | set(self.held)
        dangling = [
            f"{task['id']} -> {name}"
            for task in self.held.values()
            for name in task["depends_on"]
            if name not in known
        ]
        graph = {
            name: [n for n in task["depends_on"] if n in self.held]
            for name, task in self.held.items()
        }
        return _cycles(graph), dangling

    def _release(self) -> list[Task]:
        released: list[Task] = []
        moved = True
        while moved:
            moved = False
            for name, task in list(self.held.items()):
                if set(task["depends_on"]) <= self._given:
                    del self.held[name]
                    self._given.add(name)
                    released.append(task)
                    moved = True
        self.tasks += released
        return released


def _cycles(graph: dict[str, list[str]]) -> list[list[str]]:
    """Cycles that share no dependency; the graph is left without any."""
    found: list[list[str]] = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            # Each id is needed by the next one; the last is the first again.
            cycle: list[str] = error.args[1]
            for needed, name in pairwise(cycle):
                graph[name].remove(needed)
            found.append(cycle[:-1])
        else:
            return found


def compute(tasks: Sequence[Task]) -> dict[str, Any]:
    """Groups, critical path, slack, makespan and total of an acyclic plan.

    Durations are the likely efforts, in the plan's own unit; anybody may work on what is
    ready, so the makespan is the length of the longest path.
    """
    length = {task["id"]: float(task["effort"]["likely"]) for task in tasks}
    needs = {task["id"]: list(task["depends_on"]) for task in tasks}
    groups = _groups(needs)
    order = [name for group in groups for name in group]
    finish: dict[str, float] = {}
    for name in order:
        finish[name] = length[name] + max((finish[n] for n in needs[name]), default=0.0)
    makespan = max(finish.values(), default=0.0)
    latest = dict.fromkeys(order, makespan)
    for name in reversed(order):
        for needed in needs[name]:
            latest[needed] = min(latest[needed], latest[name] - length[name])
    return {
        "groups": groups,
        "critical_path": _longest(needs, finish),
        "makespan": round(makespan, 6),
        "total_effort": round(sum(length.values()), 6),
        "slack": {name: round(latest[name] - finish[name], 6) for name in order},
        "ready_first": groups[0] if groups else [],
    }


def _groups(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Ids that can be worked on at the same time, wave after wave, in plan order within one."""
    place = {name: n for n, name in enumerate(needs)}
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    groups = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        groups.append(ready)
        sorter.done(*ready)
    return groups


def _longest(needs: Mapping[str, Sequence[str]], finish: Mapping[str, float]) -> list[str]:
    """The critical path; of two that end at the same time, what comes later in order."""
    if not finish:
        return []
    place = {name: (finish[name], n) for n, name in enumerate(finish)}
    name = max(place, key=place.__getitem__)
    path = [name]
    while needs[name]:
        name = max(needs[name], key=place.__getitem__)
        path.append(name)
    return path[::-1]


def compare(previous: Iterable[Mapping[str, Any]], tasks: Sequence[Task]) -> dict[str, list[str]]:
    """What a new plan changes of an earlier one, by id: added, changed, removed."""
    before = {task["id"]: task for task in previous}
    after = {task["id"]: task for task in tasks}
    return {
        "added": [name for name in after if name not in before],
        "changed": [
            name
            for name, task in after.items()
            if name in before and any(task.get(k) != v for k, v in before[name].items())
        ],
        "removed": [name for name in before if name not in after],
    }
