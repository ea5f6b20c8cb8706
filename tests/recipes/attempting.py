"""What tests of failing models share: a recipe with a hand-made clock, pauses that are noted."""

from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from llm_stream.config import ModelsSection
from llm_stream.engine.runinfo import Source
from llm_stream.errors import StreamError
from llm_stream.models.catalog import ModelCatalog
from llm_stream.models.chunks import Message
from llm_stream.models.plugins import Loaded
from llm_stream.models.resilience.upstreams import Upstreams
from llm_stream.models.syncbridge import SyncThreads
from llm_stream.recipes.ask import Inner
from llm_stream.recipes.attempts import Attempts
from llm_stream.recipes.generate import Generate
from llm_stream.recipes.prompts import PromptLibrary
from llm_stream.recipes.spec import RunSpec
from llm_stream.resources import resource
from llm_stream.testing import Fault, Script

DOWN = ConnectionError("down")


def failing(at: int = 0, error: BaseException = DOWN, **script: Any) -> Script:
    """An answer that breaks off after `at` events."""
    return Script(fault=Fault(at=at, error=error), **script)


def never(spec: RunSpec) -> AbstractAsyncContextManager[Inner]:
    """Generate asks no other run."""
    raise AssertionError(spec)


def spec(**changes: Any) -> RunSpec:
    """A request, to model `a` unless told otherwise."""
    named = {"model": "a", **changes}
    return RunSpec(recipe="generate", messages=(Message("user", "hi"),), **named)


class Bench:
    """The recipe over these models; time stands still, pauses are kept instead of waited for.

    Attributes:
        errors: of the failed attempts, so far.
        pauses: seconds between calls, so far.
        now: monotonic seconds, as the breakers see them.
        pause: what waits; it notes the seconds and lets the clock go on by them.
    """

    def __init__(self, *models: Any, **section: Any) -> None:
        self.pauses: list[float] = []
        self.errors: list[StreamError] = []
        self.now = 1000.0
        self.pause = self._pause
        self.upstreams = Upstreams(
            ModelsSection(default="a", **section), clock=lambda: self.now, draw=lambda: 1.0
        )
        catalog = ModelCatalog(Loaded(), SyncThreads(1), default="a", aliases={}, own_models=models)
        self.recipe = Generate(
            PromptLibrary.load(resource("templates")),
            Attempts(catalog, self.upstreams, self._describe, self._wait),
        )

    def _describe(self, error: StreamError, **_: Any) -> Any:
        self.errors.append(error)
        return {"code": error.code}

    async def _wait(self, seconds: float) -> None:
        await self.pause(seconds)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def run(self, asked: RunSpec, into: list[Any] | None = None) -> list[Any]:
        """All payloads of the recipe, kept in `into` even if it fails."""
        seen: list[Any] = [] if into is None else into
        await gather_payloads(self.recipe.run(asked, never), seen)
        return seen


async def gather_payloads(source: Source, into: list[Any]) -> None:
    """Add all that a recipe yields, one by one, until it ends or fails."""
    async with aclosing(source):
        async for said in source:
            into += said if isinstance(said, list) else [said]


def text_of(payloads: list[Any]) -> str:
    """The text that a reader has in the end."""
    text = ""
    for payload in payloads:
        if isinstance(payload, dict) and payload["type"] == "text.delta":
            text += payload["text"]
        elif isinstance(payload, dict) and payload["type"] == "run.restarted":
            text = ""
    return text


def failures_of(payloads: list[Any]) -> list[tuple[Any, ...]]:
    """(attempt, model, code, next model, pause in milliseconds) of each failed attempt."""
    return [
        (
            payload["attempt"],
            payload["model"],
            payload["error"]["code"],
            *(payload["next"] or {"model": None, "delay_ms": None}).values(),
        )
        for payload in payloads
        if isinstance(payload, dict) and payload["type"] == "attempt.failed"
    ]
