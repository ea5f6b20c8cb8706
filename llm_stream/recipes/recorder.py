"""Who is told of what recipes have answered."""

from collections.abc import Mapping
from typing import Literal, Protocol

from llm_stream.engine.run import Run
from llm_stream.recipes.spec import RunSpec

Reusing = Literal["cached", "joined"]
"""How a call is answered that costs none of a model."""


class Recorder(Protocol):
    """Told of every run that has ended and was no replay, and of calls that needed no run.

    It must not raise or block.
    """

    def record(self, spec: RunSpec, run: Run, marks: Mapping[str, int] | None) -> None:
        """`marks` as `Lookup` has them: None where the answer is not to be given again."""

    def reused(self, spec: RunSpec, how: Reusing) -> None:
        """A caller's call was answered by a kept answer, or by a run that was under way."""
