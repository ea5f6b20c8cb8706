"""Who is told of what recipes have answered."""

from collections.abc import Mapping
from typing import Protocol

from llm_stream.engine.run import Run
from llm_stream.recipes.spec import RunSpec


class Recorder(Protocol):
    """Told of every run that has ended and was no replay; must not raise or block."""

    def record(self, spec: RunSpec, run: Run, marks: Mapping[str, int] | None) -> None:
        """`marks` as `Lookup` has them: None where the answer is not to be given again."""
