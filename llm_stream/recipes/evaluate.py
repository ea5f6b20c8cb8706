"""Is a stage sufficient? Models judge criterion by criterion; code computes the verdict."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from llm_stream.engine.runinfo import Outcome
from llm_stream.payloads import Payload
from llm_stream.recipes.ask import Ask, Inner
from llm_stream.recipes.concurrent import as_they_end
from llm_stream.recipes.judgement import (
    JUDGEMENT_SCHEMA,
    RUBRIC_SCHEMA,
    in_order,
    judged_criterion,
    numbered,
    ratings_of,
    reasoning,
    rubric_hash,
    verified,
)
from llm_stream.recipes.material import delimited, marked, model_call, sources
from llm_stream.recipes.prompts import JSON_TEMPLATES, PromptLibrary
from llm_stream.recipes.spec import RunSpec
from llm_stream.recipes.verdict import judge

AT_ONCE: Final = 4
"""Judgements under way at a time."""


class Evaluate:
    """The spec's `input` is the validated request; see docs/api-recipes.md, "Evaluate".

    Args:
        prompts: where the templates `evaluate` (or the one the spec names) and `rubric` are.
    """

    name = "evaluate"

    def __init__(self, prompts: PromptLibrary) -> None:
        self._prompts = prompts

    def identity(self, spec: RunSpec) -> str:
        """Hash of the templates it uses by itself: their edit makes another answer."""
        return self._prompts.hash_of("evaluate", "rubric", *JSON_TEMPLATES)

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
            criteria = numbered(inner.result["criteria"])
            said = "\n".join(c["title"] for c in criteria)
            yield {"type": "step.completed", "step": "rubric", "text": said}
        checks = {"dropped_quotes": 0, "unknown_criteria": 0}
        judged: list[dict[int, dict[str, Any]]] = [{} for _ in criteria]
        items: dict[int, dict[str, Any]] = {}
        judges: set[str] = set()
        material = {"stage": marked("stage_name", asked["stage_name"]), "input": delimited(texts)}
        work = [
            self._judge(ask, self._call(spec, material, criterion, sample), place, sample)
            for place, criterion in enumerate(criteria)
            for sample in range(asked["samples"])
        ]
        stopped = False
        async with aclosing(as_they_end(work, AT_ONCE)) as judgements:
            async for place, sample, inner in judgements:
                judges.add(inner.model)
                judged[place][sample] = verified(inner.result, texts, checks)
                if len(judged[place]) < asked["samples"]:
                    continue
                item = judged_criterion(criteria[place], in_order(judged[place]))
                items[place] = item
                yield {"type": "item.completed", "path": f"criteria/{place}", "value": item}
                if asked["early_stop"] and item["required"] and item["rating"] == "unmet":
                    stopped = True
                    break
        # Only what all samples have judged counts: the n-th ratings are one judgement.
        ratings = {
            criteria[place]["id"]: ratings_of(in_order(judged[place])) for place in sorted(items)
        }
        computed = judge(criteria, ratings, asked["threshold"])
        shown = [items[place] for place in sorted(items)]
        result = computed | {
            "criteria": shown,
            "missing": [gap for item in shown for gap in item["missing"]],
            "reasoning": reasoning(computed, shown, stopped=stopped),
            "checks": checks | {"criteria_derived": derived, "stopped_early": stopped},
            "rubric_hash": rubric_hash(criteria),
            "judge": ", ".join(sorted(judges)),
        }
        yield Outcome("stop", result)

    @staticmethod
    async def _judge(ask: Ask, call: RunSpec, place: int, sample: int) -> tuple[int, int, Inner]:
        async with ask(call) as answering:
            await answering.finish()
        return place, sample, answering

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
