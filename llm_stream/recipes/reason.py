"""Answers that are thought about first: plan and solve, vote, or draft and revise."""

import re
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from llm_stream.engine.runinfo import Outcome
from llm_stream.payloads import Payload
from llm_stream.recipes.ask import Ask
from llm_stream.recipes.concurrent import Stream, merged
from llm_stream.recipes.material import delimited, marked, model_call
from llm_stream.recipes.plan import PlanBuilder
from llm_stream.recipes.prompts import JSON_TEMPLATES, REASON_TEMPLATES, PromptLibrary
from llm_stream.recipes.spec import RunSpec

AT_ONCE: Final = 4
"""Steps or votes under way at a time."""

STEPS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["steps"],
    "properties": {
        "steps": {
            "type": "array",
            "minItems": 1,
            "maxItems": 5,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "title", "depends_on"],
                "properties": {
                    "id": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,15}$"},
                    "title": {"type": "string", "minLength": 1, "maxLength": 120},
                    "depends_on": {
                        "type": "array",
                        "maxItems": 4,
                        "items": {"type": "string", "maxLength": 16},
                    },
                },
            },
        }
    },
}


class Reason:
    """The spec's `input` is the validated request; see docs/api-recipes.md, "Reason".

    Args:
        prompts: where the `reason-...` templates are.
    """

    name = "reason"

    def __init__(self, prompts: PromptLibrary) -> None:
        self._prompts = prompts

    def identity(self, spec: RunSpec) -> str:
        """Hash of the templates it uses by itself: their edit makes another answer."""
        return self._prompts.hash_of(*REASON_TEMPLATES, *JSON_TEMPLATES)

    async def run(self, spec: RunSpec, ask: Ask) -> AsyncGenerator[Payload | Outcome]:
        """Yield steps and their deltas (with `step`), the answer's deltas (without), the result.

        Raises:
            StreamError: an inner run failed; the steps before it are in the log.
        """
        asked = dict(spec.input or {})
        strategies = {"plan": self._plan, "vote": self._vote, "critique": self._critique}
        async with aclosing(strategies[asked["strategy"]](spec, ask, asked)) as payloads:
            async for payload in payloads:
                yield payload

    async def _plan(
        self, spec: RunSpec, ask: Ask, asked: Mapping[str, Any]
    ) -> AsyncGenerator[Payload | Outcome]:
        async with ask(self._call(spec, "reason-plan", asked, schema=STEPS_SCHEMA)) as inner:
            await inner.finish()
        builder = PlanBuilder()
        for step in inner.result["steps"]:
            builder.add(step)
        builder.force()
        waiting = {step["id"]: step for step in builder.tasks}
        solved: dict[str, dict[str, Any]] = {}
        while waiting:
            ready = [s for s in waiting.values() if set(s["depends_on"]) <= set(solved)]
            work = [
                self._step(
                    ask,
                    self._call(
                        spec,
                        "reason-step",
                        asked,
                        step=marked("step", step["title"]),
                        known=known(solved),
                    ),
                    step["id"],
                    step["title"],
                )
                for step in ready
            ]
            async with aclosing(merged(work, AT_ONCE)) as payloads:
                async for payload in payloads:
                    if payload["type"] == "step.completed":
                        step = waiting.pop(payload["step"])
                        solved[step["id"]] = {"title": step["title"], "text": payload["text"]}
                    yield payload
        call = self._call(spec, "reason-conclude", asked, known=known(solved))
        answer: list[str] = []
        async with aclosing(self._answer(ask, call, answer)) as payloads:
            async for payload in payloads:
                yield payload
        yield Outcome("stop", {"answer": "".join(answer), "steps": listed(solved)})

    async def _vote(
        self, spec: RunSpec, ask: Ask, asked: Mapping[str, Any]
    ) -> AsyncGenerator[Payload | Outcome]:
        votes: dict[str, dict[str, Any]] = {}
        titles = {f"vote-{n + 1}": f"Vote {n + 1}" for n in range(asked["samples"])}
        work = [
            self._step(ask, self._call(spec, "reason-vote", asked, sample=n), step, title)
            for n, (step, title) in enumerate(titles.items())
        ]
        async with aclosing(merged(work, AT_ONCE)) as payloads:
            async for payload in payloads:
                if payload["type"] == "step.completed":
                    votes[payload["step"]] = {
                        "title": titles[payload["step"]],
                        "text": payload["text"],
                        "vote": vote_of(payload["text"]),
                    }
                yield payload
        ordered = dict(sorted(votes.items()))
        counts = Counter(normal(vote["vote"]) for vote in ordered.values())
        winner, most = counts.most_common(1)[0]
        answer = next(v["vote"] for v in ordered.values() if normal(v["vote"]) == winner)
        yield {"type": "text.delta", "text": answer}
        agreement = {
            "value": round(most / len(votes), 4),
            "samples": len(votes),
            "votes": dict(counts),
        }
        yield Outcome("stop", {"answer": answer, "steps": listed(ordered), "agreement": agreement})

    async def _critique(
        self, spec: RunSpec, ask: Ask, asked: Mapping[str, Any]
    ) -> AsyncGenerator[Payload | Outcome]:
        done: dict[str, dict[str, Any]] = {}
        for name, title in (("draft", "Draft"), ("critique", "Critique")):
            call = self._call(spec, f"reason-{name}", asked, known=known(done))
            async with aclosing(self._step(ask, call, name, title)) as payloads:
                async for payload in payloads:
                    if payload["type"] == "step.completed":
                        done[name] = {"title": title, "text": payload["text"]}
                    yield payload
        answer: list[str] = []
        call = self._call(spec, "reason-revise", asked, known=known(done))
        async with aclosing(self._answer(ask, call, answer)) as payloads:
            async for payload in payloads:
                yield payload
        yield Outcome("stop", {"answer": "".join(answer), "steps": listed(done)})

    def _call(
        self,
        spec: RunSpec,
        template: str,
        asked: Mapping[str, Any],
        *,
        schema: Mapping[str, Any] | None = None,
        sample: int = 0,
        **values: str,
    ) -> RunSpec:
        found = self._prompts.find(template)
        texts = {"question": asked["question"]}
        if asked["context"]:
            texts["context"] = asked["context"]
        given = {"input": delimited(texts)} | values
        used = {name: value for name, value in given.items() if name in found.variables}
        return model_call(spec, found, used, schema=schema, sample=sample)

    async def _step(self, ask: Ask, call: RunSpec, step: str, title: str) -> Stream[Payload]:
        yield {"type": "step.started", "step": step, "title": title}
        async with ask(call) as inner, aclosing(inner.deltas()) as deltas:
            async for piece in deltas:
                if piece is not None:
                    yield {"type": "text.delta", "text": piece, "step": step}
        yield {"type": "step.completed", "step": step, "text": "".join(inner.text)}

    async def _answer(self, ask: Ask, call: RunSpec, into: list[str]) -> AsyncGenerator[Payload]:
        async with ask(call) as inner, aclosing(inner.deltas()) as deltas:
            async for piece in deltas:
                if piece is not None:
                    yield {"type": "text.delta", "text": piece}
        into += inner.text


def known(done: Mapping[str, Mapping[str, Any]]) -> str:
    """What earlier steps have found, as data for the next one."""
    return delimited({name: f"{s['title']}\n{s['text']}" for name, s in done.items()}) or "(none)"


def listed(done: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Steps as the result shows them."""
    return [{"step": name, **step} for name, step in done.items()]


def vote_of(text: str) -> str:
    """The answer a vote comes down to: what stands behind the last "Answer:", else all of it."""
    found = re.findall(r"answer\s*:\s*(.+)", text, re.IGNORECASE)
    return str(found[-1] if found else text).strip()


def normal(vote: str) -> str:
    """A vote for counting: case, white space and closing punctuation do not matter."""
    return " ".join(vote.casefold().split()).rstrip(".!,;")
