"""Is a stage sufficient? Models judge criterion by criterion; code computes the verdict."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from llm_stream.engine.runinfo import Outcome
from llm_stream.events import Payload
from llm_stream.recipes.ask import Ask, Inner, forward
from llm_stream.recipes.concurrent import as_they_end
from llm_stream.recipes.judgement import (
    JUDGEMENT_SCHEMA,
    RUBRIC_SCHEMA,
    judged_criterion,
    numbered,
    reasoning,
    rubric_hash,
    verified,
)
from llm_stream.recipes.material import delimited, marked, model_call, sources
from llm_stream.recipes.prompts import PromptLibrary
from llm_stream.recipes.spec import RunSpec
from llm_stream.recipes.verdict import Rating, judge

AT_ONCE: Final = 4
"""Judgements under way at a time."""


class Evaluate:
    """The spec's `input` is the validated request; see docs/protocol.md, "Verdict".

    Args:
        prompts: where the templates `evaluate` (or the one the spec names) and `rubric` are.
    """

    name = "evaluate"

    def __init__(self, prompts: PromptLibrary) -> None:
        self._prompts = prompts

    async def run(self, spec: RunSpec, ask: Ask) -> AsyncGenerator[Payload | Outcome]:
        """Yield `item.completed` a judged criterion (`criteria/<place>`), last the verdict.

        Raises:
            StreamError: an inner run failed; what was judged before is in the log.
        """
        asked = dict(spec.input or {})
        texts = sources(asked)
        criteria: list[dict[str, Any]] = asked["criteria"]
        derived = not criteria
        if derived:
            yield {"type": "step.started", "step": "rubric", "title": "Derive criteria"}
            async with ask(self._rubric_spec(spec, asked, texts)) as inner:
                await inner.finish()
            for payload in forward(inner):
                yield payload
            criteria = numbered(inner.result["criteria"])
            said = "\n".join(c["title"] for c in criteria)
            yield {"type": "step.completed", "step": "rubric", "text": said}
        checks = {"dropped_quotes": 0, "unknown_criteria": 0}
        ratings: dict[str, list[Rating]] = {c["id"]: [] for c in criteria}
        judged: dict[str, list[dict[str, Any]]] = {c["id"]: [] for c in criteria}
        place = {c["id"]: n for n, c in enumerate(criteria)}
        material = {"stage": marked("stage_name", asked["stage_name"]), "input": delimited(texts)}
        work = [
            self._judge(ask, self._call(spec, material, criterion, sample), criterion)
            for criterion in criteria
            for sample in range(asked["samples"])
        ]
        stopped = False
        async with aclosing(as_they_end(work, AT_ONCE)) as judgements:
            async for criterion, inner in judgements:
                for payload in forward(inner):
                    yield payload
                answer = verified(inner.result, texts, checks)
                name = criterion["id"]
                ratings[name].append(answer["rating"])
                judged[name].append(answer)
                if len(ratings[name]) < asked["samples"]:
                    continue
                item = judged_criterion(criterion, ratings[name], judged[name])
                yield {
                    "type": "item.completed",
                    "path": f"criteria/{place[name]}",
                    "value": item,
                }
                if asked["early_stop"] and criterion["required"] and item["rating"] == "unmet":
                    stopped = True
                    break
        items = [
            judged_criterion(c, ratings[c["id"]], judged[c["id"]])
            for c in criteria
            if ratings[c["id"]]
        ]
        computed = judge(criteria, ratings, asked["threshold"])
        result = computed | {
            "criteria": items,
            "missing": [gap for item in items for gap in item["missing"]],
            "reasoning": reasoning(computed, items, stopped=stopped),
            "checks": checks | {"criteria_derived": derived, "stopped_early": stopped},
            "rubric_hash": rubric_hash(criteria),
            "judge": spec.model,
        }
        yield Outcome("stop", result)

    @staticmethod
    async def _judge(
        ask: Ask, call: RunSpec, criterion: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Inner]:
        async with ask(call) as answering:
            await answering.finish()
        return criterion, answering

    def _call(
        self, spec: RunSpec, material: dict[str, str], criterion: Mapping[str, Any], sample: int
    ) -> RunSpec:
        template = self._prompts.find(spec.template.name if spec.template else "evaluate")
        values = material | {"criterion": marked("criterion", criterion["title"])}
        return model_call(spec, template, values, schema=JUDGEMENT_SCHEMA, sample=sample)

    def _rubric_spec(
        self, spec: RunSpec, asked: Mapping[str, Any], texts: Mapping[str, str]
    ) -> RunSpec:
        template = self._prompts.find("rubric")
        values = {"stage": marked("stage_name", asked["stage_name"]), "input": delimited(texts)}
        return model_call(spec, template, values, schema=RUBRIC_SCHEMA)
