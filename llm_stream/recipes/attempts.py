"""One question, asked until a model has answered it or nobody is left to ask."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from llm_stream.engine.endings import forget_frames
from llm_stream.engine.runinfo import DescribeError, Outcome
from llm_stream.errors import ContentRefused, StreamError
from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.catalog import ModelCatalog
from llm_stream.models.chunks import Chunk, Finish, ModelCall, Reasoning
from llm_stream.models.resilience.upstreams import Route, Upstreams
from llm_stream.models.toolset import ToolCall
from llm_stream.payloads import NextAttempt, Payload, ToolCalled, Usage
from llm_stream.recipes.answer import Answer
from llm_stream.recipes.onecall import OneCall
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
        models = (spec.model, *spec.fallback_models)
        return self._upstreams.route(models, self._catalog.label_of)

    async def ask(
        self, spec: RunSpec, question: Question, answer: Answer, route: Route | None = None
    ) -> AsyncGenerator[Payload | list[Payload] | Outcome]:
        """Yield what the model says, and `attempt.failed` for each call that failed; last how.

        `route` is one that has been gone before, for the same run. The outcome has no result.

        A lonely failure is none: `run.failed` says it all. While it waits for the next call it
        holds neither a thread nor a connection. After the first output the spec's `midstream`
        says what follows a failure.

        Raises:
            StreamError: nobody is left to ask, or must be asked. The first failure, but for a
                refusal before any output, which ends everything.
        """
        began = time.monotonic()
        route = route or self.route(spec)
        while True:
            try:
                call = self._call(spec, route, question)
                answer.calls.clear()
                if call.ahead:
                    yield {"type": "run.queued", "position": call.ahead}
                async with call.open() as batches:
                    async for chunks in batches:
                        call.note(chunks)
                        if not call.shown:
                            call.shown = any(_shown(route, answer, chunk) for chunk in chunks)
                        yield self._said(chunks, answer)
                for each in answer.calls:
                    yield _called(each)
                yield _usage(call.adapter.id, answer.ending)
            except StreamError as error:
                failure, attempt, model = error, route.attempt, route.model
            else:
                route.answered()
                route.seconds += time.monotonic() - began
                yield Outcome(answer.ending.finish_reason, None, route.seconds)
                return
            following = self._following(spec, route, answer, failure)
            if following is not None or attempt > 1:
                yield {
                    "type": "attempt.failed",
                    "attempt": attempt,
                    "model": model,
                    "error": self._describe_error(failure, run=None, request=spec.request),
                    "next": following,
                }
            if following is None:
                raise route.cause or failure
            yield self._begin_again(spec, answer, failure)
            # They would keep the failed call alive as long as the error is kept.
            forget_frames(failure)
            if following["delay_ms"]:
                await self._sleep(following["delay_ms"] / 1000)

    def _begin_again(self, spec: RunSpec, answer: Answer, failure: StreamError) -> list[Payload]:
        """Make the answer ready for the next call; what readers have to know of it."""
        if answer.visible and spec.midstream == "restart":
            self._upstreams.mended["restarted"] += 1
            answer.begin_anew()
            return [{"type": "run.restarted", "reason": failure.code}]
        if answer.visible:
            answer.continue_after_text()
        return []

    def _following(
        self, spec: RunSpec, route: Route, answer: Answer, error: StreamError
    ) -> NextAttempt | None:
        """Whom to ask next; None: nobody, the run fails with the route's cause."""
        if not answer.visible:
            route.failed(error, better=isinstance(error, ContentRefused))
            return route.following(error)
        route.failed(error)
        if answer.splice is not None and answer.splice.diverged:
            self._upstreams.mended["diverged"] += 1
            return None
        following = None if spec.midstream == "error" else route.following(error)
        if following is None:
            self._upstreams.mended["lost"] += 1
        return following

    def _call(self, spec: RunSpec, route: Route, question: Question) -> OneCall:
        """What is asked next, not yet asked.

        Raises:
            StreamError: it is known not to answer now.
        """
        adapter, upstream = self._catalog.find(route.model), route.upstream
        provider = self._upstreams.outage(adapter.provider, adapter.address)
        upstream.check(provider)
        timeouts = spec.timeouts.over(upstream.patience)
        return OneCall(
            adapter,
            question(adapter),
            timeouts,
            self._upstreams.admission(adapter.id, adapter.provider),
            upstream.attempt(timeouts, provider),
        )

    def _said(self, chunks: Sequence[Chunk], answer: Answer) -> list[Payload]:
        """What readers get of these chunks now; the rest the answer keeps."""
        said: list[Payload] = []
        for chunk in chunks:
            if answer.splice is not None:
                new = answer.splice.new_of(chunk)
                if answer.splice.caught_up:
                    answer.splice = None
                    self._upstreams.mended["spliced"] += 1
                if new is None:
                    continue
                chunk = new  # noqa: PLW2901 - the rest of the piece takes its place
            if isinstance(chunk, str):
                if answer.keep_text:
                    answer.text.append(chunk)
                said.append({"type": "text.delta", "text": chunk})
            elif isinstance(chunk, Reasoning):
                said.append({"type": "reasoning.delta", "text": chunk.text})
            else:
                answer.take(chunk)
        return said


def _shown(route: Route, answer: Answer, chunk: Chunk) -> bool:
    """Whether readers get this chunk of a call; from the first one on they have something."""
    if not isinstance(chunk, (str, Reasoning)):
        return False
    if not answer.visible:
        answer.visible = True
        # What breaks off now is worse than what failed unseen before.
        route.cause = None
    return True


def _called(call: ToolCall) -> ToolCalled:
    payload: ToolCalled = {
        "type": "tool.called",
        "tool_call_id": call.tool_call_id,
        "name": call.name,
        "arguments": call.arguments,
    }
    if call.provider_metadata is not None:
        payload["provider_metadata"] = dict(call.provider_metadata)
    return payload


def _usage(model_id: str, finish: Finish) -> Usage:
    return {
        "type": "usage",
        "model": finish.model or model_id,
        "input_tokens": finish.input_tokens,
        "output_tokens": finish.output_tokens,
        "details": finish.details,
        "estimated": False,
    }
