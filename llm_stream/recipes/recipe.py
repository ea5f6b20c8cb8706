"""What every recipe is to the launcher."""

from typing import Protocol

from llm_stream.engine.runinfo import Source
from llm_stream.recipes.ask import Ask
from llm_stream.recipes.spec import RunSpec


class Recipe(Protocol):
    """One use case."""

    name: str

    def identity(self, spec: RunSpec) -> str | None:
        """Hash of what makes the answer beside the spec; None: the answer is not kept."""

    def run(self, spec: RunSpec, ask: Ask) -> Source:
        """Payloads, then one `Outcome`; closed by the run."""
