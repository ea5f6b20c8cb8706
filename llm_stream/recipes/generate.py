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
from llm_stream.models.chunks import Chunk, Finish, Message, ModelCall, Reasoning
from llm_stream.models.timers import Watch
from llm_stream.recipes.ask import Ask
from llm_stream.recipes.incremental import whole_json
from llm_stream.recipes.material import marked
from llm_stream.recipes.prompts import JSON_TEMPLATES, PromptLibrary
from llm_stream.recipes.schemas import hold_against
from llm_stream.recipes.spec import RunSpec


class Answer:
    """What has come of one model call."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.finish: Finish | None = None


class Generate:
    """Asks the spec's model, then its fallbacks while nothing visible has come.

    With a schema the answer is checked at its end. A model that cannot keep to one by itself
    gets it in the prompt, and one call to repair an answer that does not meet it.

    Args:
        catalog: where the models are.
        prompts: where the templates `as-json` and `repair` are.
        describe_error: makes the problem object of `attempt.failed`.
    """

    name = "generate"

    def __init__(
        self, catalog: ModelCatalog, prompts: PromptLibrary, describe_error: DescribeError
    ) -> None:
        self._catalog = catalog
        self._prompts = prompts
        self._describe_error = describe_error

    def identity(self, spec: RunSpec) -> str:
        """Hash of the templates it uses by itself, "" for free text: it uses none then."""
        return self._prompts.hash_of(*JSON_TEMPLATES) if spec.schema is not None else ""

    async def run(self, spec: RunSpec, ask: Ask) -> AsyncGenerator[Payload | Outcome]:
        """Yield deltas, usage and tool calls, last an `Outcome`.

        The outcome's result is the decoded answer where the spec has a schema, else None.
        `run.restarted` comes before a repaired answer.

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
        call = spec.call
        if call.schema is not None and not adapter.supports_schema:
            call = self._with_schema_in_prompt(call)
        answer = Answer()
        async with aclosing(self._stream(spec, adapter, call, answer)) as payloads:
            async for payload in payloads:
                yield payload
        result = None
        if spec.schema is not None:
            try:
                result = checked(answer, spec.schema)
            except InvalidOutput as fault:
                if not repairable(answer):
                    raise
                yield {"type": "run.restarted", "reason": InvalidOutput.code}
                call = self._repair(call, spec.schema, answer, fault)
                answer = Answer()
                async with aclosing(self._stream(spec, adapter, call, answer)) as payloads:
                    async for payload in payloads:
                        yield payload
                result = checked(answer, spec.schema)
        yield Outcome(_finish_of(answer).finish_reason, result)

    async def _stream(
        self, spec: RunSpec, adapter: ModelAdapter, call: ModelCall, answer: Answer
    ) -> AsyncGenerator[Payload]:
        keep = answer.text.append if spec.schema is not None else None
        if position := adapter.ahead:
            yield {"type": "run.queued", "position": position}
        async with (
            adapter.turn() as turn,
            Watch(spec.timeouts, adapter.id) as watch,
            aclosing(adapter.stream(call, turn)) as chunks,
        ):
            async for chunk in chunks:
                watch.touch()
                if isinstance(chunk, str):
                    if keep is not None:
                        keep(chunk)
                    yield {"type": "text.delta", "text": chunk}
                elif isinstance(chunk, Finish):
                    answer.finish = chunk
                else:
                    yield _payload(chunk)
        yield _usage(adapter.id, _finish_of(answer))

    def _with_schema_in_prompt(self, call: ModelCall) -> ModelCall:
        *before, last = call.messages
        template = self._prompts.find("as-json")
        schema = orjson.dumps(call.schema).decode()
        rendered = template.render({"schema": schema}, last.content)
        asked = Message("user", rendered.prompt, last.attachments)
        return ModelCall((*before, asked), call.options)

    def _repair(self, call: ModelCall, schema: Any, answer: Answer, fault: Any) -> ModelCall:
        values = {
            "schema": marked("schema", orjson.dumps(dict(schema)).decode()),
            "errors": marked("errors", fault.detail),
            "answer": marked("answer", "".join(answer.text)),
        }
        rendered = self._prompts.find("repair").render(values)
        # The repair sees the question's system prompt, the faulty answer and what is wrong.
        system = [m for m in call.messages if m.role == "system"]
        return ModelCall((*system, Message("user", rendered.prompt)), call.options, call.schema)


def checked(answer: Answer, schema: Any) -> Any:
    """The decoded answer, held against the schema.

    Raises:
        InvalidOutput: it is not JSON, or does not meet the schema (the model's doing).
    """
    try:
        value = whole_json("".join(answer.text))
    except InvalidOutput as error:
        if not repairable(answer):
            raise InvalidOutput(
                f"{error.detail} It was cut off; raise max_tokens.",
            ) from error
        raise
    hold_against(schema, value)
    return value


def repairable(answer: Answer) -> bool:
    """Whether asking again can help: not if the answer ran out of tokens."""
    return _finish_of(answer).finish_reason not in {"length", "max_tokens", "MAX_TOKENS"}


def _finish_of(answer: Answer) -> Finish:
    if answer.finish is None:
        raise InvalidOutput("The model ended without saying that it is done.")
    return answer.finish


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
