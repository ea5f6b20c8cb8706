"""How a recipe asks a model: through the same door as every caller, never by itself."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from llm_stream.engine.run import Run
from llm_stream.engine.subscription import Subscription
from llm_stream.errors import StreamError, UpstreamFailed
from llm_stream.events import decoded, kind_of, payload_of
from llm_stream.naming import ulid
from llm_stream.recipes.spec import RunSpec


class Ask(Protocol):
    """Launches an inner run: hidden, cached and shared like any.

    When left, it is released and the usage of its model calls is in the outer run's log, however
    it ended; once, if several asked for it.
    """

    def __call__(self, spec: RunSpec) -> AbstractAsyncContextManager["Inner"]:
        """Enter to start or join the run, leave to give it up.

        Raises:
            StreamError: the run cannot be launched.
        """


@dataclass(slots=True)
class Inner:
    """An inner run, read from its beginning.

    Attributes:
        text: pieces of the answer so far.
        model: the model that answers: the one asked, or the last fallback tried.
        result: its result, once it has completed.
    """

    run: Run
    subscription: Subscription
    text: list[str] = field(default_factory=list)
    model: str = field(init=False)
    result: Any = None

    def __post_init__(self) -> None:
        self.model = self.run.info.model

    async def deltas(self) -> AsyncGenerator[str | None]:
        """Yield pieces of the text; None when the run restarted and all before is void.

        Raises:
            StreamError: the inner run failed; the same error, so the same doing.
            UpstreamFailed: somebody else ended it.
        """
        async with aclosing(self.subscription.batches()) as batches:
            async for batch in batches:
                for event in batch:
                    match kind_of(event):
                        case "text.delta":
                            self.text.append(decoded(event)["text"])
                            yield self.text[-1]
                        case "run.restarted":
                            self.text.clear()
                            yield None
                        case "attempt.failed" if following := decoded(event)["next"]:
                            self.model = following["model"]
                        case "run.completed":
                            self.result = decoded(event)["result"]
                        case "run.failed" | "run.cancelled":
                            raise self._failure()

    async def finish(self) -> "Inner":
        """Read to the end; the run's own failures are raised as by `deltas`."""
        async with aclosing(self.deltas()) as deltas:
            async for _ in deltas:
                pass
        return self

    def _failure(self) -> StreamError:
        if isinstance(self.run.error, StreamError):
            return self.run.error
        return UpstreamFailed(f"An inner run of this recipe ended as {self.run.state}.")


class Launched(Protocol):
    """What a launch comes to."""

    @property
    def run(self) -> Run:
        """The run, started, joined or replayed."""


class Launch(Protocol):
    """The door every run goes through; see `Launcher.launch`."""

    def __call__(self, spec: RunSpec, *, claim: str, request: str) -> Awaitable[Launched]:
        """Start, join or replay."""


class Asking:
    """How one run's recipe asks: an `Ask`.

    Its inner runs pass no gate: the parent holds a slot already; were its children to wait for
    others, parents could wait for each other for ever.
    """

    def __init__(self, parent: Run, spec: RunSpec, launch: Launch) -> None:
        self._parent = parent
        self._spec = spec
        self._launch = launch
        self._reported: set[str] = set()

    @asynccontextmanager
    async def __call__(self, spec: RunSpec) -> AsyncIterator[Inner]:
        """See `Ask`."""
        parent = self._parent
        spec = replace(
            spec,
            parent=parent.id,
            origin=self._spec.origin or self._spec.recipe,
            tier=spec.tier or self._spec.tier,
            cache=replace(spec.cache, pace="instant"),
        )
        claim = f"{parent.id}/{ulid()}"
        run = (await self._launch(spec, claim=claim, request=parent.info.request)).run
        subscription = run.subscribe()
        try:
            yield Inner(run, subscription)
        finally:
            subscription.close()
            run.release(claim)
            parent.substituted |= run.substituted
            # What comes from the cache was paid for before.
            if run.id not in self._reported and run.info.cache != "hit":
                self._reported.add(run.id)
                for event in run.events():
                    if kind_of(event) == "usage":
                        parent.record(payload_of(event))
