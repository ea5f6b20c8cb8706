"""What every recipe is to the launcher."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Protocol

from llm_stream.engine.runinfo import Outcome
from llm_stream.events import Payload
from llm_stream.recipes.ask import Ask
from llm_stream.recipes.spec import RunSpec, load_spec


class Recipe(Protocol):
    """One use case."""

    name: str

    def identity(self, spec: RunSpec) -> str | None:
        """Hash of what makes the answer beside the spec; None: the answer is not kept."""

    def run(self, spec: RunSpec, ask: Ask) -> AsyncGenerator[Payload | Outcome]:
        """Payloads, then one `Outcome`; closed by the run."""


async def again(
    recipes: Mapping[str, Recipe], spec: bytes, ask: Ask
) -> AsyncGenerator[Payload | Outcome]:
    """The payloads of a spec that was kept (`dump_spec`); what is wrong with it is raised here."""
    known = load_spec(spec)
    async with aclosing(recipes[known.recipe].run(known, ask)) as source:
        async for payload in source:
            yield payload
