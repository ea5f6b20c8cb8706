"""The shapes of requests for the thinking recipes, and of a batch of any."""

from typing import Annotated, Any, Literal

from pydantic import Field

from llm_stream.web.bodies import Body, CommonBody, Name

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Text = Annotated[str, Field(min_length=1, max_length=1_000_000)]


class CriterionBody(Body):
    """One criterion; `weight` counts in the score, an unmet `required` one decides alone."""

    id: Id
    title: Annotated[str, Field(min_length=1, max_length=500)]
    weight: Annotated[float, Field(ge=0, le=1000)] = 1.0
    required: bool = False


class TextBody(Body):
    """A text with a name: a document to be judged by and quoted from, a requirement to cover."""

    id: Id
    text: Text


class EvaluateBody(CommonBody):
    """POST /v1/evaluate. Without criteria they are derived from the stage."""

    stage_name: Annotated[str, Field(min_length=1, max_length=200)]
    stage_data: dict[str, Any] = Field(default_factory=dict)
    project_state: dict[str, Any] = Field(default_factory=dict)
    criteria: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=500)] | CriterionBody],
        Field(max_length=100),
    ] = Field(default_factory=list)
    documents: Annotated[list[TextBody], Field(max_length=100)] = Field(default_factory=list)
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.7
    samples: Annotated[int, Field(ge=1, le=9)] = 1
    early_stop: bool = False


class BreakdownBody(CommonBody):
    """POST /v1/breakdown. `previous` (tasks of an earlier plan) and `results` make a re-plan."""

    task: Text
    context: Annotated[str, Field(max_length=1_000_000)] = ""
    requirements: Annotated[list[TextBody], Field(max_length=100)] = Field(default_factory=list)
    constraints: Annotated[list[str | dict[str, Any]], Field(max_length=100)] = Field(
        default_factory=list
    )
    max_tasks: Annotated[int, Field(ge=1, le=30)] = 10
    max_depth: Annotated[int, Field(ge=1, le=3)] = 1
    previous: Annotated[list[dict[str, Any]], Field(max_length=300)] = Field(default_factory=list)
    results: Annotated[list[dict[str, Any]], Field(max_length=300)] = Field(default_factory=list)


class ReasonBody(CommonBody):
    """POST /v1/reason."""

    question: Text
    context: Annotated[str, Field(max_length=1_000_000)] = ""
    strategy: Literal["plan", "vote", "critique"] = "plan"
    samples: Annotated[int, Field(ge=1, le=9)] = 3


class BatchRequest(Body):
    """One request of a batch: the body of its recipe's own call, under a name of the caller's."""

    id: Name | None = None
    recipe: Name = "generate"
    input: dict[str, Any]


class BatchBody(CommonBody):
    """POST /v1/batch: up to 256 requests, `concurrency` of them under way at a time."""

    requests: Annotated[list[BatchRequest], Field(min_length=1, max_length=256)]
    concurrency: Annotated[int, Field(ge=1, le=32)] = 8
