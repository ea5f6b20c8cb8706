"""A plan in the terminal: its tasks wave by wave, what each waits for, and the critical path."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llm_stream.cli.screen import Screen
from llm_stream.cli.textcells import cells, fitted, one_line, padded, wrapped
from llm_stream.engine.fold import Fold

Task = Mapping[str, Any]

LONGEST_ID: Final = 20
"""Columns that ids get; longer ones are cut."""

LEAST_TITLE: Final = 8
"""Columns that titles get, even if there are none for them beside wide efforts."""

CRITICAL: Final = "*"
"""Stands before a task that is on the critical path."""


class Plan:
    """See `Teller`."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def tell(self, told: dict[str, Any]) -> None:
        """Nothing: what waits for what is known at the end. Progress names the tasks."""

    def end(self, fold: Fold) -> int:
        """Draw the plan."""
        if fold.terminal is not None:
            for line in plan_lines(fold.terminal["result"], self._screen.columns):
                bold = line.startswith((f" {CRITICAL} ", "wave "))
                self._screen.styled(line, bold=True if bold else None)
        return 0


def plan_lines(result: Mapping[str, Any], columns: int) -> Iterator[str]:
    """The plan, no line wider than `columns` (40 or more).

    Args:
        result: of a breakdown (docs/api-recipes.md, "Breakdown").
        columns: how wide.
    """
    tasks = {task["id"]: task for task in result["tasks"]}
    computed = result["computed"]
    path = computed["critical_path"]
    widest = max((cells(one_line(_own(task))) + _depth(task, tasks) for task in tasks.values()),
                 default=0)  # fmt: skip
    page = _Page(tasks, frozenset(path), min(widest, LONGEST_ID, columns // 4), columns)
    for number, group in enumerate(computed["groups"], 1):
        if number > 1:
            yield ""
        yield f"wave {number}" + (f": {len(group)} at once" if len(group) > 1 else "")
        for name in group:
            yield from page.task(tasks[name])
    if not tasks:
        yield "no tasks"
        return
    yield ""
    unit = next(iter(tasks.values()))["effort"]["unit"]
    yield from _hung(f"{CRITICAL} critical path: ", " > ".join(map(one_line, path)), columns)
    makespan, total = computed["makespan"], computed["total_effort"]
    sums = f"{makespan:.10g} {unit} at least, {total:.10g} {unit} of work in {_count(tasks)}"
    yield from _hung("  ", sums, columns)
    yield from _remarks(result, columns)


class _Page:
    """Columns that all tasks of a plan share: mark, id, title, effort."""

    def __init__(
        self, tasks: Mapping[str, Task], path: frozenset[str], name: int, columns: int
    ) -> None:
        self._tasks = tasks
        self._path = path
        self._name = name
        self._likely = max((len(_likely(task)) for task in tasks.values()), default=0)
        self._spread = max((len(_spread(task)) for task in tasks.values()), default=0)
        widest = max((cells(_title(task)) for task in tasks.values()), default=0)
        left = columns - 3 - name - 2 - 2 - self._likely - self._spread
        self._title = min(widest, max(left, LEAST_TITLE))
        self._columns = columns

    def task(self, task: Task) -> Iterator[str]:
        """A task, what it waits for, and the tasks it was broken down into."""
        mark = CRITICAL if task["id"] in self._path else " "
        name = fitted("." * _depth(task, self._tasks) + one_line(_own(task)), self._name)
        head = f" {mark} {padded(name, self._name)}  "
        effort = f"{_likely(task):>{self._likely}}{_spread(task)}"
        for line in wrapped(_title(task), self._title):
            yield f"{head}{padded(line, self._title)}  {effort}".rstrip()
            head, effort = " " * len(head), ""
        if task["depends_on"]:
            before = ", ".join(map(one_line, task["depends_on"]))
            yield from _hung(f"{' ' * (self._name + 5)}after ", before, self._columns)
        for part in self._tasks.values():
            if part.get("parent") == task["id"]:
                yield from self.task(part)


def _remarks(result: Mapping[str, Any], columns: int) -> Iterator[str]:
    """What a reader of the plan has to know beside its tasks."""
    checks = result["checks"]
    remarks = [
        ("not covered: ", checks["uncovered_requirements"]),
        ("open: ", result["open_questions"]),
        *((f"{name}: ", names) for name, names in result.get("changes", {}).items()),
    ]
    for head, said in remarks:
        texts = [", ".join(said)] if head != "open: " else said
        for text in texts:
            if text:
                yield from _hung(f"  {head}", text, columns)


def _hung(head: str, text: str, columns: int) -> Iterator[str]:
    for line in wrapped(text, max(columns - cells(head), 10)):
        yield f"{head}{line}"
        head = " " * cells(head)


def _likely(task: Task) -> str:
    return f"{task['effort']['likely']} {task['effort']['unit'][:1]}"


def _spread(task: Task) -> str:
    effort = task["effort"]
    return "" if effort["low"] == effort["high"] else f" ({effort['low']}-{effort['high']})"


def _title(task: Task) -> str:
    kind = "" if task["type"] == "task" else f"[{task['type']}] "
    return one_line(f"{kind}{task['title']}")


def _own(task: Task) -> str:
    """A task's id without that of the task it is a part of."""
    return str(task["id"]).removeprefix(f"{task.get('parent', '')}.")


def _depth(task: Task, tasks: Mapping[str, Task]) -> int:
    depth = 0
    while "parent" in task:
        task, depth = tasks[task["parent"]], depth + 1
    return depth


def _count(tasks: Mapping[str, Task]) -> str:
    return f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}"
