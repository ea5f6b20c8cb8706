"""Many requests at once, of any recipe; each result as soon as it is there."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from llm_stream.engine.fold import Fold
from llm_stream.engine.runinfo import DescribeError, Outcome
from llm_stream.errors import StreamError
from llm_stream.payloads import Payload
from llm_stream.recipes.ask import Ask, Inner
from llm_stream.recipes.concurrent import as_they_end
from llm_stream.recipes.spec import RunSpec

Answer = Any
"""Makes the plain answer of a run: `answer(info, fold)`."""


class Batch:
    """The spec's `children` are the requests; `input` has their ids and `concurrency`.

    Args:
        answer: makes the body of a finished request, as its own call would answer.
        describe_error: makes the problem object of a failed one.
    """

    name = "batch"

    def __init__(self, answer: Answer, describe_error: DescribeError) -> None:
        self._answer = answer
        self._describe_error = describe_error

    def identity(self, spec: RunSpec) -> None:
        """None: it is not kept as a whole, for some of it may have failed; its parts are."""

    async def run(self, spec: RunSpec, ask: Ask) -> AsyncGenerator[Payload | Outcome]:
        """Yield `item.completed` a request (`results/<place>`) as it ends, last the counts.

        One failure does not spoil the rest: it is that request's result.
        """
        asked = dict(spec.input or {})
        failed = 0
        work = [
            self._one(spec, ask, place, name, child)
            for place, (name, child) in enumerate(zip(asked["ids"], spec.children, strict=True))
        ]
        async with aclosing(as_they_end(work, asked["concurrency"])) as results:
            async for place, value in results:
                failed += value["status"] != "completed"
                yield {"type": "item.completed", "path": f"results/{place}", "value": value}
        count = len(spec.children)
        yield Outcome("stop", {"total": count, "completed": count - failed, "failed": failed})

    async def _one(
        self, spec: RunSpec, ask: Ask, place: int, name: str, child: RunSpec
    ) -> tuple[int, dict[str, Any]]:
        inner: Inner | None = None
        try:
            async with ask(child) as inner:
                await inner.finish()
        except StreamError as error:
            run = None if inner is None else inner.run.id
            problem = self._describe_error(error, run=run, request=spec.request)
            value = {"id": name, "status": "failed", "error": problem}
            return place, value
        answer = self._answer(inner.run.info, Fold(inner.run.events()), joined=False)
        return place, {"id": name, "status": "completed", "answer": answer}
