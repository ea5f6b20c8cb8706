"""How a recipe asks a model: through the same door as every caller, never by itself."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from llm_stream.engine.eventlog import Subscription
from llm_stream.engine.run import Run
from llm_stream.errors import StreamError, UpstreamFailed
from llm_stream.events import Payload, Usage
from llm_stream.recipes.spec import RunSpec


class Ask(Protocol):
    """Launches an inner run: hidden, cached and shared like any, released when left."""

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
        usage: what its model calls have reported so far.
        result: its result, once it has completed.
    """

    run: Run
    subscription: Subscription
    text: list[str] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    result: Any = None

    async def deltas(self) -> AsyncGenerator[str | None]:
        """Yield pieces of the text; None when the run restarted and all before is void.

        Raises:
            StreamError: the inner run failed; the same error, so the same doing.
            UpstreamFailed: somebody else ended it.
        """
        async with aclosing(self.subscription.batches()) as batches:
            async for batch in batches:
                for event in batch:
                    match event.type:
                        case "text.delta":
                            self.text.append(event.decode()["text"])
                            yield self.text[-1]
                        case "run.restarted":
                            self.text.clear()
                            yield None
                        case "usage":
                            self.usage.append(usage_of(event.decode()))
                        case "run.completed":
                            self.result = event.decode()["result"]
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


def usage_of(event: dict[str, Any]) -> Usage:
    """The usage payload of an inner run's event, to be passed on."""
    payload = {name: value for name, value in event.items() if name not in {"id", "run", "t_ms"}}
    return cast("Usage", payload)


def forward(inner: Inner) -> list[Payload]:
    """What the outer run reports of a finished inner one: its usage."""
    return list(inner.usage)
