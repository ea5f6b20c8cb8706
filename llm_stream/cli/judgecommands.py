"""`llm-stream evaluate` and `breakdown`: verdicts and plans, drawn in the terminal."""

from typing import Any

import click

from llm_stream.cli.exitcodes import EPILOG, EVALUATE_EPILOG
from llm_stream.cli.material import FILE, Material, said_of
from llm_stream.cli.place import Place
from llm_stream.cli.runcommands import asked, needed
from llm_stream.cli.runoptions import (
    Reading,
    with_asking,
    with_keeping,
    with_reading,
    with_template,
)


@click.command(epilog=EVALUATE_EPILOG)
@click.argument("stage", required=False)
@click.argument("documents", nargs=-1, type=FILE, metavar="[FILE]...")
@click.option("-c", "--criterion", multiple=True, help="What to judge by; may be repeated.")
@click.option("-r", "--required", multiple=True, help="The same; unmet, it decides alone.")
@click.option(
    "--criteria", type=FILE, metavar="FILE", help="More of them: one a line, or a JSON array."
)
@click.option("--stage-data", metavar="JSON|FILE", help="What is judged, as a JSON object.")
@click.option("--project-state", metavar="JSON|FILE", help="What is known of the project.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Score that is needed (0.7).")
@click.option("--samples", type=click.IntRange(1, 9), help="Judgements of each criterion (1).")
@click.option("--early-stop", is_flag=True, help="End as soon as a required one is unmet.")
@with_template
@with_asking
@with_keeping
@with_reading
def evaluate(
    place: Place,
    reading: Reading,
    common: dict[str, Any],
    stage: str | None,
    documents: tuple[str, ...],
    **said: Any,
) -> None:
    """Judge whether STAGE is sufficient, by FILEs and data.

    Prints each criterion when it is judged, then the verdict, which is the exit code as well. A
    FILE may be - for standard input. Without criteria they are derived from the stage first.
    """
    material = Material()
    body = said_of(
        stage_name=needed(stage, "STAGE", reading, material),
        documents=material.documents(documents),
        criteria=criteria(material, said),
        threshold=said["threshold"],
        samples=said["samples"],
        early_stop=said["early_stop"] or None,
        template=said["template"],
    )
    for name, option in (("stage_data", "--stage-data"), ("project_state", "--project-state")):
        if said[name]:
            body[name] = material.json(said[name], option)
    asked(place, reading, "evaluate", common | body)


def criteria(material: Material, said: dict[str, Any]) -> list[Any]:
    """All criteria, required ones first, as the request has them."""
    found: list[Any] = [
        {"id": f"r{place}", "title": title, "required": True}
        for place, title in enumerate(said["required"], 1)
    ]
    found += said["criterion"]
    return found + (material.lines(said["criteria"], "--criteria") if said["criteria"] else [])


@click.command(epilog=EPILOG)
@click.argument("task", required=False)
@click.argument("documents", nargs=-1, type=FILE, metavar="[FILE]...")
@click.option("--requirement", multiple=True, help="What tasks have to cover; may be repeated.")
@click.option(
    "--requirements", type=FILE, metavar="FILE", help="More of them: one a line, or a JSON array."
)
@click.option("--constraint", multiple=True, help="What holds for all tasks; may be repeated.")
@click.option("--max-tasks", type=click.IntRange(1, 30), help="Most tasks (10).")
@click.option(
    "--max-depth", type=click.IntRange(1, 3), help="How deep large tasks are broken down (1)."
)
@click.option(
    "--previous", metavar="JSON|FILE", help="An earlier plan (as --json prints it) to plan anew."
)
@click.option("--results", metavar="JSON|FILE", help="What came of its tasks: [{id, ...}].")
@with_template
@with_asking
@with_keeping
@with_reading
def breakdown(
    place: Place,
    reading: Reading,
    common: dict[str, Any],
    task: str | None,
    documents: tuple[str, ...],
    **said: Any,
) -> None:
    """Break TASK down into a plan, and draw it.

    In waves of tasks that can be worked on at once, with what each waits for; * marks the critical
    path. TASK may be - for standard input; what stands in FILEs is what is known.
    """
    material = Material()
    body = said_of(
        task=needed(task, "TASK", reading, material),
        context=material.context(documents) if documents else "",
        requirements=requirements(material, said),
        constraints=list(said["constraint"]),
        max_tasks=said["max_tasks"],
        max_depth=said["max_depth"],
        template=said["template"],
    )
    if said["previous"]:
        plan = material.json(said["previous"], "--previous")
        body["previous"] = plan["tasks"] if isinstance(plan, dict) and "tasks" in plan else plan
    if said["results"]:
        body["results"] = material.json(said["results"], "--results")
    asked(place, reading, "breakdown", common | body)


def requirements(material: Material, said: dict[str, Any]) -> list[Any]:
    """All requirements; those that are texts get the ids r1, r2, ..."""
    given = [*said["requirement"]]
    if said["requirements"]:
        given += material.lines(said["requirements"], "--requirements")
    return [
        {"id": f"r{place}", "text": each} if isinstance(each, str) else each
        for place, each in enumerate(given, 1)
    ]
