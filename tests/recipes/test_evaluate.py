"""Evaluation, with inner runs that end in an order of the test's choosing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from llm_stream.engine.runinfo import Outcome
from llm_stream.recipes.evaluate import Evaluate
from llm_stream.recipes.prompts import PromptLibrary
from llm_stream.recipes.spec import RunSpec
from llm_stream.resources import resource

CRITERIA = [
    {"id": name, "title": title, "weight": 1.0, "required": False}
    for name, title in (("a", "Alpha"), ("b", "Beta"))
]


def asked(samples: int) -> RunSpec:
    """An evaluation of both criteria."""
    value = {
        "stage_name": "s",
        "stage_data": {"x": 1},
        "project_state": {},
        "documents": [],
        "criteria": CRITERIA,
        "threshold": 0.7,
        "samples": samples,
        "early_stop": False,
    }
    return RunSpec(recipe="evaluate", model="m", input=value)


class Judges:
    """Asked in any order, they answer in the one of `order`: (criterion, sample) pairs."""

    def __init__(self, ratings: dict[str, list[str]], order: list[tuple[str, int]]) -> None:
        self._ratings = ratings
        self._turns = {turn: asyncio.Event() for turn in order}
        self._order = order
        self._turns[order[0]].set()

    @asynccontextmanager
    async def ask(self, spec: RunSpec) -> AsyncIterator[Any]:
        """An inner run."""
        assert spec.messages
        title = "a" if "Alpha" in str(spec.messages) else "b"
        turn = (title, spec.sample)

        async def finish() -> None:
            await self._turns[turn].wait()
            following = self._order.index(turn) + 1
            if following < len(self._order):
                self._turns[self._order[following]].set()

        rating = self._ratings[title][spec.sample]
        result = {"reason": f"{rating}.", "evidence": [], "rating": rating, "missing": []}
        run = SimpleNamespace(id=f"{turn}")
        yield SimpleNamespace(run=run, result=result, model="m", finish=finish)


async def verdict_of(order: list[tuple[str, int]]) -> Any:
    """The verdict when the samples of two criteria end in that order."""
    judges = Judges({"a": ["met", "met", "unmet"], "b": ["met", "met", "unmet"]}, order)
    prompts = PromptLibrary.load(resource("templates"))
    evaluate = Evaluate(prompts)
    last = None
    async for payload in evaluate.run(asked(3), judges.ask):
        last = payload
    assert isinstance(last, Outcome)
    return last.result


async def test_a_verdict_does_not_depend_on_who_answers_first() -> None:
    """Samples are paired by their number: two say yes, one no, in whatever order they come."""
    straight = [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    crossed = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 2), ("b", 1)]

    first, second = await verdict_of(straight), await verdict_of(crossed)

    assert first == second
    assert first["verdict"] == "uncertain"
    assert first["confidence"]["value"] == 0.6667
