"""The table of recipes a caller can start: name -> shape of the request, and how it becomes a spec.

REST, the socket and batches all go through `spec_of`, so a recipe is one row here.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from llm_stream.errors import EmptyPrompt, InvalidField, StreamError
from llm_stream.recipes.material import STAGE_SOURCES
from llm_stream.recipes.spec import RunSpec
from llm_stream.web.bodies import CommonBody, GenerateBody, validate
from llm_stream.web.intake import Caller, Intake
from llm_stream.web.recipe_bodies import (
    BatchBody,
    BreakdownBody,
    CriterionBody,
    EvaluateBody,
    ReasonBody,
)


def spec_of(
    intake: Intake, recipe: str, value: dict[str, Any], caller: Caller, prefix: str = ""
) -> RunSpec:
    """The spec of a request of any recipe.

    Args:
        intake: knows what names mean.
        recipe: a key of `RECIPES`.
        value: the decoded body.
        caller: who asks.
        prefix: stands before the paths of fields at fault.

    Raises:
        CallerError: naming the field at fault; nothing was sent to a model.
    """
    if recipe not in RECIPES:
        known = ", ".join(sorted(RECIPES))
        raise InvalidField(
            f"Field 'recipe' has to be one of {known}.",
            field=prefix.removesuffix("input.") + "recipe",
        )
    shape, make = RECIPES[recipe]
    body = validate(shape, value, prefix)
    try:
        return make(intake, body, caller)
    except StreamError as error:
        if prefix and error.field and not error.field.startswith(prefix):
            error.field = prefix + error.field
        raise


def _thinking(
    intake: Intake, body: CommonBody, caller: Caller, recipe: str, asked: dict[str, Any]
) -> RunSpec:
    template = intake.template(body.template)
    if template is not None and template.recipe != recipe:
        raise InvalidField(
            f"Template {template.ref.name!r} is not made for this recipe. "
            "GET /v1/templates says what each is made for.",
            field="template",
        )
    spec = intake.common(body, caller, template, recipe=recipe, input=asked)
    intake.check_options(spec)
    return spec


def _evaluate(intake: Intake, body: EvaluateBody, caller: Caller) -> RunSpec:
    criteria = [
        CriterionBody(id=f"c{place}", title=given) if isinstance(given, str) else given
        for place, given in enumerate(body.criteria, 1)
    ]
    _unique([criterion.id for criterion in criteria], "criteria")
    _unique([document.id for document in body.documents], "documents")
    for place, document in enumerate(body.documents):
        if document.id in STAGE_SOURCES:
            raise InvalidField(
                f"Id {document.id!r} is that of another field. Choose another one.",
                field=f"documents.{place}.id",
            )
    if criteria and not sum(criterion.weight for criterion in criteria):
        raise InvalidField("At least one criterion needs a weight above 0.", field="criteria")
    if not (body.stage_data or body.project_state or body.documents):
        raise EmptyPrompt(
            "There is nothing to judge: give stage_data, project_state or documents.",
            field="documents",
        )
    asked = {
        "stage_name": body.stage_name,
        "stage_data": body.stage_data,
        "project_state": body.project_state,
        "criteria": [criterion.model_dump() for criterion in criteria],
        "documents": [document.model_dump() for document in body.documents],
        "threshold": body.threshold,
        "samples": body.samples,
        "early_stop": body.early_stop,
    }
    return _thinking(intake, body, caller, "evaluate", asked)


def _breakdown(intake: Intake, body: BreakdownBody, caller: Caller) -> RunSpec:
    _unique([requirement.id for requirement in body.requirements], "requirements")
    for name in ("previous", "results"):
        for place, task in enumerate(getattr(body, name)):
            if not isinstance(task.get("id"), str):
                raise InvalidField("Each needs an 'id'.", field=f"{name}.{place}.id")
    _not_blank(body.task, "task")
    asked = {
        "task": body.task,
        "context": body.context,
        "requirements": [requirement.model_dump() for requirement in body.requirements],
        "constraints": body.constraints,
        "max_tasks": body.max_tasks,
        "max_depth": body.max_depth,
        "previous": body.previous,
        "results": body.results,
    }
    return _thinking(intake, body, caller, "breakdown", asked)


def _reason(intake: Intake, body: ReasonBody, caller: Caller) -> RunSpec:
    _not_blank(body.question, "question")
    asked = {
        "question": body.question,
        "context": body.context,
        "strategy": body.strategy,
        "samples": body.samples,
    }
    return _thinking(intake, body, caller, "reason", asked)


def _batch(intake: Intake, body: BatchBody, caller: Caller) -> RunSpec:
    ids = [request.id or str(place) for place, request in enumerate(body.requests)]
    _unique(ids, "requests")
    common = intake.common(body, caller, None, recipe="batch")
    children = []
    for place, request in enumerate(body.requests):
        if request.recipe == "batch":
            raise InvalidField("A batch has no batches.", field=f"requests.{place}.recipe")
        prefix = f"requests.{place}.input."
        child = spec_of(intake, request.recipe, request.input, caller, prefix)
        # What the batch says of the cache holds for those that say nothing.
        children.append(child if "cache" in request.input else replace(child, cache=common.cache))
    return replace(
        common,
        input={"ids": ids, "concurrency": body.concurrency},
        children=tuple(children),
    )


def _unique(ids: Sequence[str], field: str) -> None:
    seen: set[str] = set()
    for place, name in enumerate(ids):
        if name in seen:
            raise InvalidField(f"Id {name!r} is used twice.", field=f"{field}.{place}.id")
        seen.add(name)


def _not_blank(text: str, field: str) -> None:
    if not text.strip():
        raise EmptyPrompt(f"Field {field!r} is blank. Say what you want.", field=field)


Make = Callable[[Intake, Any, Caller], RunSpec]

RECIPES: Final[dict[str, tuple[type[CommonBody], Make]]] = {
    "generate": (GenerateBody, Intake.generate),
    "evaluate": (EvaluateBody, _evaluate),
    "breakdown": (BreakdownBody, _breakdown),
    "reason": (ReasonBody, _reason),
    "batch": (BatchBody, _batch),
}
