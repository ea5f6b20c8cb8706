"""The recipe every other one is made of: one question, one streamed answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from llm_stream.engine.runinfo import DescribeError, Outcome
from llm_stream.errors import InvalidOutput, UpstreamError
from llm_stream.events import OUTPUT_TYPES, Payload, Usage
from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.catalog import ModelCatalog
from llm_stream.models.chunks import Chunk, Finish, Reasoning
from llm_stream.models.timers import Watch
from llm_stream.recipes.schemas import hold_against
from llm_stream.recipes.spec import RunSpec


class Generate:
    """Asks the spec's model, then its fallbacks while nothing visible has come.

    Args:
        catalog: where the models are.
        describe_error: makes the problem object of `attempt.failed`.
    """

    name = "generate"

    def __init__(self, catalog: ModelCatalog, describe_error: DescribeError) -> None:
        self._catalog = catalog
        self._describe_error = describe_error

    async def run(self, spec: RunSpec) -> AsyncGenerator[Payload | Outcome]:
        """Yield deltas, usage and tool calls, last an `Outcome`.

        The outcome's result is the decoded answer where the spec has a schema, else None.

        Raises:
            UpstreamError: the last model that was tried failed, or the first one failed after
                its first visible output (the upstream's doing).
            InvalidOutput: the answer does not meet the schema (the model's doing).
        """
        models = (spec.model, *spec.fallback_models)
        for attempt, model_id in enumerate(models, 1):
            visible = False
            try:
                async with aclosing(self._attempt(spec, self._catalog.find(model_id))) as payloads:
                    async for payload in payloads:
                        if not visible and not isinstance(payload, Outcome):
                            visible = payload["type"] in OUTPUT_TYPES
                        yield payload
            except UpstreamError as error:
                if visible or attempt == len(models):
                    raise
                yield {
                    "type": "attempt.failed",
                    "attempt": attempt,
                    "model": model_id,
                    "error": self._describe_error(error, run=None, request=spec.request),
                    "next": {"model": models[attempt], "delay_ms": 0},
                }
            else:
                return

    async def _attempt(
        self, spec: RunSpec, adapter: ModelAdapter
    ) -> AsyncGenerator[Payload | Outcome]:
        answer: list[str] | None = None if spec.schema is None else []
        finish: Finish | None = None
        if position := adapter.ahead:
            yield {"type": "run.queued", "position": position}
        async with (
            adapter.turn() as turn,
            Watch(spec.timeouts, adapter.id) as watch,
            aclosing(adapter.stream(spec.call, turn)) as chunks,
        ):
            async for chunk in chunks:
                watch.touch()
                if isinstance(chunk, str):
                    if answer is not None:
                        answer.append(chunk)
                    yield {"type": "text.delta", "text": chunk}
                elif isinstance(chunk, Finish):
                    finish = chunk
                else:
                    yield _payload(chunk)
        if finish is None:
            raise InvalidOutput(f"{adapter.id} ended without saying that it is done.")
        yield _usage(adapter.id, finish)
        result = None if answer is None else _checked("".join(answer), spec.schema, finish)
        yield Outcome(finish.finish_reason, result)


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


def _checked(text: str, schema: Any, finish: Finish) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        cut = " It was cut off; raise max_tokens." if finish.finish_reason == "length" else ""
        raise InvalidOutput(f"The answer is not the JSON the schema asks for.{cut}") from error
    hold_against(schema, value)
    return value
