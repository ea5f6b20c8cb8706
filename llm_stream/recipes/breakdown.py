"""A task broken down into tasks, each streamed as soon as it can be worked on."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

import orjson

from llm_stream.engine.runinfo import Outcome
from llm_stream.errors import InvalidOutput
from llm_stream.payloads import ItemCompleted, Payload
from llm_stream.recipes.ask import Ask, Inner
from llm_stream.recipes.concurrent import as_they_end
from llm_stream.recipes.incremental import ElementStream
from llm_stream.recipes.material import delimited, marked, model_call
from llm_stream.recipes.plan import PlanBuilder, Task, compare, compute
from llm_stream.recipes.prompts import JSON_TEMPLATES, PromptLibrary
from llm_stream.recipes.schemas import hold_against
from llm_stream.recipes.spec import RunSpec
from llm_stream.recipes.taskschema import TASK_SCHEMA, fixes_schema, plan_schema

AT_ONCE: Final = 4
"""Tasks expanded at a time."""


class Breakdown:
    """The spec's `input` is the validated request; see docs/api-recipes.md, "Breakdown".

    Args:
        prompts: where the templates `breakdown` (or the one the spec names) and
            `repair-plan` are.
    """

    name = "breakdown"

    def __init__(self, prompts: PromptLibrary) -> None:
        self._prompts = prompts

    def identity(self, spec: RunSpec) -> str:
        """Hash of the templates it uses by itself: their edit makes another answer."""
        return self._prompts.hash_of("breakdown", "repair-plan", *JSON_TEMPLATES)

    async def run(self, spec: RunSpec, ask: Ask) -> AsyncGenerator[Payload | Outcome]:
        """Yield `item.completed` a task (`tasks/<place>`), dependencies first, last the plan.

        Raises:
            StreamError: an inner run failed; the tasks before it are in the log.
        """
        asked = dict(spec.input or {})
        builder = PlanBuilder()
        template = self._prompts.find(spec.template.name if spec.template else "breakdown")
        schema = plan_schema(asked["max_tasks"])
        call = model_call(spec, template, self._values(asked), schema=schema)
        async with ask(call) as inner, aclosing(self._tasks(inner, builder)) as payloads:
            async for payload in payloads:
                yield payload
        cycles, dangling = builder.faults()
        repairs = 0
        if builder.held:
            repairs = 1
            fixes = await self._repair(ask, self._repair_spec(spec, builder, cycles, dangling))
            for task in builder.fix(fixes) + builder.force():
                yield item(builder, task)
        questions = inner.result["open_questions"]
        parts: list[Task] = []
        async with aclosing(self._expand(spec, ask, asked, builder.tasks)) as expanded:
            async for payload in expanded:
                if payload["type"] == "item.completed":
                    parts.append(payload["value"])
                yield payload
        known = {requirement["id"] for requirement in asked["requirements"]}
        covered = {name for task in builder.tasks for name in task["covers"]}
        result: dict[str, Any] = {
            "tasks": builder.tasks + parts,
            "computed": compute(builder.tasks),
            "checks": {
                "cycles": cycles,
                "dangling": dangling,
                "duplicates": builder.duplicates,
                "repeated_dependencies": builder.repeated,
                "uncovered_requirements": sorted(known - covered),
                "unknown_requirements": sorted(covered - known),
                "repairs": repairs,
            },
            "open_questions": questions,
        }
        if asked["previous"]:
            result["changes"] = compare(asked["previous"], builder.tasks + parts)
        yield Outcome("stop", result)

    async def _tasks(self, inner: Inner, builder: PlanBuilder) -> AsyncGenerator[Payload]:
        elements = ElementStream("tasks")
        streamed: list[Any] = []
        async with aclosing(inner.deltas()) as deltas:
            async for piece in deltas:
                if piece is None:
                    # The model's answer was void and is written again: so is what came of it.
                    elements = ElementStream("tasks")
                    streamed.clear()
                    builder.clear()
                    yield {"type": "run.restarted", "reason": InvalidOutput.code}
                    continue
                for element in elements.feed(piece):
                    streamed.append(element)
                    # A task that fails its schema fails the whole answer, which its own run
                    # finds and repairs; until then it is not shown.
                    if valid(element):
                        for task in builder.add(element):
                            yield item(builder, task)
        # The whole answer is what was checked. Read in pieces it can say something else: a draft
        # before it, a key twice, a number only one of the parsers takes.
        if streamed != inner.result["tasks"]:
            if builder.tasks:
                yield {"type": "run.restarted", "reason": InvalidOutput.code}
            builder.clear()
            for element in inner.result["tasks"]:
                for task in builder.add(element):
                    yield item(builder, task)

    async def _expand(
        self, spec: RunSpec, ask: Ask, asked: Mapping[str, Any], tasks: list[Task]
    ) -> AsyncGenerator[Any]:
        chosen = [t for t in tasks if asked["max_depth"] > 1 and t["expand"]["recommended"]]
        place = len(tasks)
        work = [self._expansion(spec, ask, asked, task) for task in chosen]
        async with aclosing(as_they_end(work, AT_ONCE)) as expansions:
            async for task, inner in expansions:
                for part in inner.result["tasks"]:
                    value = nested(part, task["id"])
                    yield ItemCompleted(type="item.completed", path=f"tasks/{place}", value=value)
                    place += 1

    async def _expansion(
        self, spec: RunSpec, ask: Ask, asked: Mapping[str, Any], task: Task
    ) -> tuple[Task, Inner]:
        smaller = {
            **asked,
            "task": f"{task['title']}: {task['description']}",
            "context": f"{asked['context']}\nPart of: {asked['task']}\n{task['expand']['hint']}",
            "requirements": [],
            "previous": [],
            "results": [],
            "max_depth": asked["max_depth"] - 1,
        }
        async with ask(replace(spec, input=smaller, abandon_seconds=0.0)) as inner:
            await inner.finish()
        return task, inner

    def _values(self, asked: Mapping[str, Any]) -> dict[str, str]:
        texts = {
            name: asked[name] if isinstance(asked[name], str) else pretty(asked[name])
            for name in ("context", "requirements", "constraints", "previous", "results")
            if asked[name]
        }
        return {
            "task": marked("task", asked["task"]),
            "input": delimited(texts) or "(none)",
            "max_tasks": str(asked["max_tasks"]),
        }

    @staticmethod
    async def _repair(ask: Ask, call: RunSpec) -> dict[str, list[str]]:
        """{id: its new dependencies}; none if the model cannot say: code cuts them then."""
        async with ask(call) as fixing:
            try:
                await fixing.finish()
            except InvalidOutput:
                return {}
        return {fix["id"]: fix["depends_on"] for fix in fixing.result["fixes"]}

    def _repair_spec(
        self, spec: RunSpec, builder: PlanBuilder, cycles: Any, dangling: Any
    ) -> RunSpec:
        faulty = [
            {name: task[name] for name in ("id", "title", "depends_on")}
            for task in builder.held.values()
        ]
        values = {
            "faulty": marked("faulty", pretty(faulty)),
            "known": ", ".join(task["id"] for task in builder.tasks) or "(none)",
            "faults": pretty({"cycles": cycles, "unknown dependencies": dangling}),
        }
        schema = fixes_schema(list(builder.held), [task["id"] for task in builder.tasks])
        return model_call(spec, self._prompts.find("repair-plan"), values, schema=schema)


def valid(element: Any) -> bool:
    """Whether an element is a task as the schema has it."""
    try:
        hold_against(TASK_SCHEMA, element)
    except InvalidOutput:
        return False
    return True


def item(builder: PlanBuilder, task: Task) -> ItemCompleted:
    """The event of a task that was given out."""
    place = builder.tasks.index(task)
    return {"type": "item.completed", "path": f"tasks/{place}", "value": task}


def nested(part: Task, parent: str) -> Task:
    """A task of an expansion with ids that are unique in the whole plan."""
    return part | {
        "id": f"{parent}.{part['id']}",
        "parent": f"{parent}.{part['parent']}" if "parent" in part else parent,
        "depends_on": [f"{parent}.{name}" for name in part["depends_on"]],
    }


def pretty(value: Any) -> str:
    """JSON that a model reads well."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
