"""The recipe every other one is made of: one question, one streamed answer."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from llm_stream.engine.runinfo import Outcome, Source
from llm_stream.errors import InvalidOutput
from llm_stream.models.adapter import ModelAdapter
from llm_stream.models.chunks import Message, ModelCall
from llm_stream.payloads import Payload
from llm_stream.recipes.answer import Answer
from llm_stream.recipes.ask import Ask
from llm_stream.recipes.attempts import Attempts
from llm_stream.recipes.material import marked
from llm_stream.recipes.prompts import JSON_TEMPLATES, PromptLibrary
from llm_stream.recipes.spec import RunSpec


class Generate:
    """Asks the spec's model; again, or its fallbacks, when it fails (`Attempts`).

    With a schema the answer is checked at its end. A model that cannot keep to one by itself
    gets it in the prompt, and one call to repair an answer that does not meet it.

    Args:
        prompts: where the templates `as-json` and `repair` are.
        attempts: how models are called.
    """

    name = "generate"

    def __init__(self, prompts: PromptLibrary, attempts: Attempts) -> None:
        self._prompts = prompts
        self._attempts = attempts

    def identity(self, spec: RunSpec) -> str:
        """Hash of the templates it uses by itself, "" for free text: it uses none then."""
        return self._prompts.hash_of(*JSON_TEMPLATES) if spec.schema is not None else ""

    def run(self, spec: RunSpec, ask: Ask) -> Source:
        """Yield deltas, usage, tool calls and failed attempts, last an `Outcome`.

        The outcome's result is the decoded answer where the spec has a schema, else None.
        `run.restarted` comes before a repaired answer, and before a new one where the spec says so.

        Raises:
            UpstreamError: no model has answered; the first failure, as a rule (the upstream's
                doing).
            InvalidOutput: the answer does not meet the schema (the model's doing).
        """
        if spec.schema is not None:
            return self._checked(spec, spec.schema)
        # As it comes: a generator around it would be gone through twice a token.
        answer = Answer(keep_text=spec.midstream == "splice", tools=spec.tools)
        return self._attempts.ask(spec, partial(self._question, spec.call), answer)

    async def _checked(
        self, spec: RunSpec, schema: Mapping[str, Any]
    ) -> AsyncGenerator[Payload | list[Payload] | Outcome]:
        route = self._attempts.route(spec)
        question = partial(self._question, spec.call)
        answer = Answer(keep_text=True, tools=spec.tools)
        async with aclosing(self._attempts.ask(spec, question, answer, route)) as payloads:
            async for payload in payloads:
                if not isinstance(payload, Outcome):
                    yield payload
        result, repair = None, None
        # A call of a tool is no answer yet: what it leads to is held against the schema.
        if not answer.calls:
            try:
                result = answer.checked(schema)
            except InvalidOutput as fault:
                if not answer.repairable:
                    raise
                repair = self._repair(spec.call, answer, fault)
        if repair is not None:
            yield {"type": "run.restarted", "reason": InvalidOutput.code}
            answer = Answer(keep_text=True)
            question = partial(_without_schema_if_need_be, repair)
            async with aclosing(self._attempts.ask(spec, question, answer, route)) as payloads:
                async for payload in payloads:
                    if not isinstance(payload, Outcome):
                        yield payload
            result = answer.checked(schema)
        yield Outcome(answer.ending.finish_reason, result, route.seconds)

    def _question(self, call: ModelCall, adapter: ModelAdapter) -> ModelCall:
        """What this model is asked: with the schema in the prompt if it cannot do it otherwise."""
        if call.schema is None or adapter.supports_schema:
            return call
        *before, last = call.messages
        if last.role == "tool":
            # Behind results of tools it is a turn of its own.
            before, last = [*before, last], Message("user", "")
        template = self._prompts.find("as-json")
        schema = orjson.dumps(call.schema).decode()
        rendered = template.render({"schema": schema}, last.content)
        asked = replace(last, content=rendered.prompt)
        return replace(call, messages=(*before, asked), schema=None)

    def _repair(self, call: ModelCall, answer: Answer, fault: InvalidOutput) -> ModelCall:
        """The question for a better answer: the system prompt, the faulty answer, the faults."""
        values = {
            "schema": marked("schema", orjson.dumps(call.schema).decode()),
            "errors": marked("errors", fault.detail),
            "answer": marked("answer", "".join(answer.text)),
        }
        rendered = self._prompts.find("repair").render(values)
        system = [message for message in call.messages if message.role == "system"]
        return ModelCall((*system, Message("user", rendered.prompt)), call.options, call.schema)


def _without_schema_if_need_be(call: ModelCall, adapter: ModelAdapter) -> ModelCall:
    return call if adapter.supports_schema else replace(call, schema=None)
