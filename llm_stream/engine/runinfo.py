"""What a run is about, its figures, and what a recipe owes it: plain data."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from llm_stream.errors import Problem, StreamError
from llm_stream.payloads import Payload, RunStarted

CancelReason = Literal["requested", "abandoned", "deadline", "shutdown"]
CacheState = Literal["miss", "hit", "bypass"]
State = Literal["queued", "running", "completed", "failed", "cancelled"]


class DescribeError(Protocol):
    """Turns an error into the problem object that `run.failed` and `attempt.failed` carry."""

    def __call__(self, error: StreamError, *, run: str | None, request: str) -> Problem:
        """`run` and `request` are the ids that find the failure in the log."""


class Outcome(NamedTuple):
    """A recipe's last word: why the model stopped, and the result if the recipe has one.

    `model_seconds` is how long it had models called and waited between the calls.
    """

    finish_reason: str
    result: Any = None
    model_seconds: float = 0.0


Source = AsyncGenerator[Payload | list[Payload] | Outcome]
"""What a recipe is: payloads, alone or those that are there at once, then one `Outcome`. Closed by
the run, whatever happens."""


class RunInfo(NamedTuple):
    """What a run is about; fixed at its creation.

    `structured` says that a schema was asked for, so that `null` can be an answer. `title` holds
    the first words of the prompt and is shown to the owner only. `parent` is the run whose
    recipe asked for this one; such runs are hidden from lists. `age_seconds` is how old the answer
    is and `ttl_seconds` how long it stays fresh, where it comes from the cache; `unrepeatable`
    says that the same call made again could be answered otherwise. `refreshes` says that it
    computes an answer anew that may be there. `asked_chars` is how long the
    question is. `created_at` is in seconds since 1970.
    """

    id: str
    recipe: str
    model: str
    key: str
    cache: CacheState = "miss"
    request: str = ""
    created_at: float = 0.0
    age_seconds: int | None = None
    ttl_seconds: int | None = None
    template: str | None = None
    title: str = ""
    owner: str = ""
    parent: str | None = None
    tags: tuple[str, ...] = ()
    structured: bool = False
    unrepeatable: bool = False
    refreshes: bool = False
    asked_chars: int = 0

    def started(self) -> RunStarted:
        """The payload of the run's first event."""
        payload: RunStarted = {
            "type": "run.started",
            "recipe": self.recipe,
            "model": self.model,
            "cache": self.cache,
            "key": self.key,
        }
        if self.template is not None:
            payload["template"] = self.template
        if self.age_seconds is not None:
            payload["age_seconds"] = self.age_seconds
        return payload


class Client(NamedTuple):
    """Who wants a run.

    `claim` names it, see `Interest.release`; `abandon_seconds` is how long it wants the run to
    go on without readers, None = for ever; `inner` says that a recipe asks, not a caller;
    `request` finds its request in the log.
    """

    claim: str = ""
    abandon_seconds: float | None = None
    inner: bool = False
    request: str = ""


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """A run's figures at one moment; times in milliseconds since creation, sizes in bytes."""

    state: State
    readers: int
    events: int
    log_bytes: int
    chunks: int
    text_chars: int
    queued_ms: int
    first_token_ms: int | None
    total_ms: int
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
