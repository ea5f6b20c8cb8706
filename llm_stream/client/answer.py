"""What a reader takes away: answers, and the finished pieces of structured ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self


class FromJson:
    """A dataclass that is made of a JSON object: names it has no field for are left out."""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """The object in `value`; what is missing is as when nothing was said."""
        known = {each.name for each in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: said for name, said in value.items() if name in known})


@dataclass(frozen=True, kw_only=True)
class Criterion(FromJson):
    """One judged criterion of a verdict.

    `rating` is `met`, `partial`, `unmet` or `not_applicable`; each evidence is
    `{source, quote, start, end, verified}`.
    """

    id: str = ""
    title: str = ""
    weight: float = 1.0
    required: bool = False
    reason: str = ""
    rating: str = ""
    score: float | None = None
    evidence: list[dict[str, Any]] = field(default_factory=list)
    missing: list[Any] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Task(FromJson):
    """One task of a plan; `depends_on` are ids of tasks that came before it.

    `type` is `task`, `checkpoint` or `decision`; `effort` `{low, likely, high, unit}`.
    """

    id: str = ""
    title: str = ""
    description: str = ""
    type: str = "task"
    depends_on: list[str] = field(default_factory=list)
    acceptance_criteria: list[str] = field(default_factory=list)
    deliverables: list[str] = field(default_factory=list)
    effort: dict[str, Any] = field(default_factory=dict)
    complexity: str = ""
    priority: str = ""
    risk: str = ""
    expand: dict[str, Any] = field(default_factory=dict)
    covers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Item:
    """A finished piece of a result that is no criterion and no task, at its path."""

    path: str
    value: Any


Piece = Criterion | Task | Item

_KINDS: dict[str, type[Criterion] | type[Task]] = {"criteria": Criterion, "tasks": Task}


def piece_of(path: str, value: Any) -> Piece:
    """The piece at this path (`tasks/3`), typed where its kind is known."""
    kind = _KINDS.get(path.partition("/")[0])
    return Item(path, value) if kind is None or not isinstance(value, dict) else kind.of(value)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer; there is none of a run that failed or was cancelled.

    Attributes:
        run: the run's id.
        recipe: what was asked for.
        model: the model that answered.
        text: the answer of generate and reason, else "".
        result: the recipe's own object (a verdict, a plan, ...); of generate what meets the
            schema, None without one.
        items: the finished pieces, in the order in which they came.
        reasoning: of the model, no part of the answer.
        tool_calls: `{tool_call_id, name, arguments, provider_metadata?}`, to be sent back as they
            are with their results.
        finish_reason: the provider's, in our words.
        usage: `{input_tokens, output_tokens}`, None where no model has told.
        cache: `miss`, `hit`, `joined` or `bypass`.
        timings: milliseconds: `queued_ms`, `first_token_ms`, `total_ms`.
        attempts: calls of models that were tried.
    """

    run: str
    recipe: str
    model: str
    text: str
    result: Any
    items: list[Piece]
    reasoning: str
    tool_calls: list[dict[str, Any]]
    finish_reason: str
    usage: dict[str, int | None]
    cache: str
    timings: dict[str, int | None]
    attempts: int
