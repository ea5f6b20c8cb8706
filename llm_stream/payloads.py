"""The vocabulary of a run: what its recipe, and the run itself, can say."""

from typing import Any, Final, Literal, NotRequired

from typing_extensions import TypedDict  # before 3.12 pydantic cannot read typing's

from llm_stream.errors import Problem


class RunQueued(TypedDict):
    """The run waits for a slot; `position` counts from 1, the next to go."""

    type: Literal["run.queued"]
    position: int


class RunStarted(TypedDict):
    """First event of every run; `template` is `name@hash`, `age_seconds` that of a kept answer."""

    type: Literal["run.started"]
    recipe: str
    model: str
    cache: Literal["miss", "hit", "joined", "bypass"]
    key: str
    template: NotRequired[str]
    age_seconds: NotRequired[int]


class NextAttempt(TypedDict):
    """Which model is tried next, and after how many milliseconds."""

    model: str
    delay_ms: int


class AttemptFailed(TypedDict):
    """A model call failed before any visible output; `attempt` counts from 1."""

    type: Literal["attempt.failed"]
    attempt: int
    model: str
    error: Problem
    next: NextAttempt | None


class TextDelta(TypedDict):
    """A piece of the answer. Not a token: as long or short as the model sent it."""

    type: Literal["text.delta"]
    text: str
    step: NotRequired[str]


class ReasoningDelta(TypedDict):
    """A piece of the model's reasoning; no part of the answer's text."""

    type: Literal["reasoning.delta"]
    text: str
    step: NotRequired[str]


class ToolCalled(TypedDict):
    """The model asks for a tool; `arguments` is the decoded JSON object (`ToolCall`)."""

    type: Literal["tool.called"]
    tool_call_id: str
    name: str
    arguments: Any
    provider_metadata: NotRequired[dict[str, Any]]


class ToolReturned(TypedDict):
    """A tool answered."""

    type: Literal["tool.returned"]
    tool_call_id: str
    output: Any


class StepStarted(TypedDict):
    """A recipe with several model calls begins one of them."""

    type: Literal["step.started"]
    step: str
    title: str


class StepCompleted(TypedDict):
    """A step ended with `text`."""

    type: Literal["step.completed"]
    step: str
    text: str


class ItemCompleted(TypedDict):
    """A schema-checked piece of the result, at `path` (`criteria/0`)."""

    type: Literal["item.completed"]
    path: str
    value: Any


class Usage(TypedDict):
    """Tokens of one model call; null where the model did not say."""

    type: Literal["usage"]
    model: str
    input_tokens: int | None
    output_tokens: int | None
    details: dict[str, Any]
    estimated: bool


class RunRestarted(TypedDict):
    """Readers discard all earlier output of this run."""

    type: Literal["run.restarted"]
    reason: str


class TokenCounts(TypedDict):
    """Usage summed over a run; null where no model call reported it."""

    input_tokens: int | None
    output_tokens: int | None


class Timings(TypedDict):
    """Milliseconds since the run was created; `first_token_ms` is null without output."""

    queued_ms: int
    first_token_ms: int | None
    total_ms: int


class Ending(TypedDict):
    """What is the same of an answer however often it is given: `RunCompleted` without its times."""

    type: Literal["run.completed"]
    finish_reason: str
    result: Any
    text_sha256: str
    text_chars: int
    usage: TokenCounts
    attempts: int


class RunCompleted(Ending):
    """Terminal: the whole answer is there."""

    timings: Timings


class RunFailed(TypedDict):
    """Terminal: `error` is a problem object; output before it is partial."""

    type: Literal["run.failed"]
    error: Problem


class RunCancelled(TypedDict):
    """Terminal: somebody or something ended the run early."""

    type: Literal["run.cancelled"]
    reason: str
    usage: TokenCounts


TERMINAL_TYPES: Final = frozenset({"run.completed", "run.failed", "run.cancelled"})
OUTPUT_TYPES: Final = frozenset(
    {"text.delta", "reasoning.delta", "tool.called", "step.started", "item.completed"}
)

# fmt: off
Payload = (
    RunQueued | RunStarted | AttemptFailed | TextDelta | ReasoningDelta | ToolCalled | ToolReturned
    | StepStarted | StepCompleted | ItemCompleted | Usage | RunRestarted | RunCompleted | RunFailed
    | RunCancelled
)
# fmt: on
