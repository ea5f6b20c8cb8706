"""One question, asked until a model has answered it or nobody is left to ask."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from llm_stream.engine.endings import forget_frames
from llm_stream.engine.runinfo import DescribeError
from llm_stream.errors import StreamError
from llm_stream.events import Payload, Usage
from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.catalog import ModelCatalog
from llm_stream.models.chunks import Chunk, Finish, ModelCall, Reasoning
from llm_stream.models.resilience.upstreams import Route, Upstreams
from llm_stream.models.timers import Watch
from llm_stream.recipes.answer import Answer
from llm_stream.recipes.spec import RunSpec

Question = Callable[[ModelAdapter], ModelCall]
"""What a model is asked: models that can do less are asked otherwise."""


class Attempts:
    """Calls models one after the other, as `Upstreams` says.

    Args:
        catalog: where the models are.
        upstreams: what is known of them.
        describe_error: makes the problem object of `attempt.failed`.
        sleep: waits so many seconds between two calls; a cancellation ends it at once.
    """

    def __init__(
        self,
        catalog: ModelCatalog,
        upstreams: Upstreams,
        describe_error: DescribeError,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._catalog = catalog
        self._upstreams = upstreams
        self._describe_error = describe_error
        self._sleep = sleep

    def route(self, spec: RunSpec) -> Route:
        """The way of one run: its model, then its fallbacks."""
        return self._upstreams.route((spec.model, *spec.fallback_models))

    async def ask(
        self, spec: RunSpec, route: Route, question: Question, answer: Answer
    ) -> AsyncGenerator[Payload]:
        """Yield what the model says, and `attempt.failed` for each call that failed.

        A lonely failure is none: `run.failed` says it all. While it waits for the next call it
        holds neither a thread nor a connection.

        Raises:
            StreamError: nobody is left to ask, or must be asked; see `Route.after`.
        """
        while True:
            try:
                async with aclosing(self._call(spec, route, question, answer)) as payloads:
                    async for payload in payloads:
                        yield payload
            except StreamError as error:
                failure, attempt, model = error, route.attempt, route.model
                following = None if answer.visible else route.after(error)
            else:
                route.answered()
                return
            if following is None and attempt == 1:
                raise failure
            yield {
                "type": "attempt.failed",
                "attempt": attempt,
                "model": model,
                "error": self._describe_error(failure, run=None, request=spec.request),
                "next": following,
            }
            if following is None:
                raise route.cause or failure
            # They would keep the failed call alive as long as the error is kept.
            forget_frames(failure)
            if following["delay_ms"]:
                await self._sleep(following["delay_ms"] / 1000)

    async def _call(
        self, spec: RunSpec, route: Route, question: Question, answer: Answer
    ) -> AsyncGenerator[Payload]:
        adapter, upstream = self._catalog.find(route.model), route.upstream
        upstream.check()
        call = question(adapter)
        keep = answer.text.append if answer.keep_text else None
        begun = False
        if position := adapter.ahead:
            yield {"type": "run.queued", "position": position}
        async with adapter.turn() as turn:
            with upstream.attempt(spec.timeouts) as attempt:
                async with (
                    Watch(spec.timeouts, adapter.id) as watch,
                    aclosing(adapter.stream(call, turn)) as chunks,
                ):
                    async for chunk in chunks:
                        watch.touch()
                        if not begun:
                            begun = True
                            attempt.has_begun()
                        if isinstance(chunk, str):
                            answer.visible = True
                            if keep is not None:
                                keep(chunk)
                            yield {"type": "text.delta", "text": chunk}
                        elif isinstance(chunk, Finish):
                            answer.finish = chunk
                        else:
                            answer.visible = True
                            yield _payload(chunk)
        yield _usage(adapter.id, answer.ending)


def _payload(chunk: Chunk) -> Payload:
    if isinstance(chunk, Reasoning):
        return {"type": "reasoning.delta", "text": chunk.text}
    assert not isinstance(chunk, (str, Finish))  # noqa: S101 - narrows the type, see the caller
    return {
        "type": "tool.called",
        "tool_call_id": chunk.tool_call_id,
        "name": chunk.name,
        "arguments": chunk.arguments,
    }


def _usage(model_id: str, finish: Finish) -> Usage:
    return {
        "type": "usage",
        "model": finish.model or model_id,
        "input_tokens": finish.input_tokens,
        "output_tokens": finish.output_tokens,
        "details": finish.details,
        "estimated": False,
    }
