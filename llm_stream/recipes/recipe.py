"""What a recipe is, and what is told of its runs."""

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Outcome
from llm_stream.events import Payload
from llm_stream.recipes.ask import Ask
from llm_stream.recipes.spec import RunSpec


class Recipe(Protocol):
    """One use case."""

    name: str

    def identity(self, spec: RunSpec) -> str | None:
        """Hash of what makes the answer beside the spec; None: the answer is not kept."""

    def run(self, spec: RunSpec, ask: Ask) -> AsyncGenerator[Payload | Outcome]:
        """Payloads, then one `Outcome`; closed by the run."""


class Recorder(Protocol):
    """Told of every run that has ended and was no replay; must not raise or block."""

    def record(self, spec: RunSpec, run: Run, marks: Mapping[str, int] | None) -> None:
        """`marks` as `Lookup` has them: None where the answer is not to be given again."""
