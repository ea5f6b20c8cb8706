"""Kept answers given again: at once, or at a pace."""

from typing import Final

from llm_stream.cache.stored import Stored
from llm_stream.engine.gate import Gate
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.replay import Replay, paced
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, DescribeError, RunInfo
from llm_stream.recipes.description import described
from llm_stream.recipes.spec import RunSpec

PACED: Final = 256
"""Replays at a pace at a time; they cost no model call, but live for long."""


class Replays:
    """Makes a run of an entry of the cache.

    Args:
        registry: where runs live.
        max_log_bytes: bound of the log of a run that has a pace.
        describe_error: makes the problem object of `run.failed`.
    """

    def __init__(
        self, registry: RunRegistry, *, max_log_bytes: int, describe_error: DescribeError
    ) -> None:
        self._registry = registry
        self._max_log_bytes = max_log_bytes
        self._describe_error = describe_error
        self._paced = Gate(PACED, 0, "paced replays")

    def replay(self, spec: RunSpec, key: str, client: Client, entry: Stored) -> Run:
        """The entry as a run, at the pace that was asked for."""
        if spec.cache.pace == "instant":
            return self.instant(spec, key, client.request, entry)

        def create() -> Run:
            run = Run(
                _given(spec, key, client.request, entry),
                max_log_bytes=self._max_log_bytes,
                describe_error=self._describe_error,
                client=client,
            )
            run.start(paced(entry.recording, spec.cache.pace), [self._paced.admit(spec.owner)])
            return run

        return self._registry.start_or_join(key, create, client, join=False, share=False)[0]

    def instant(self, spec: RunSpec, key: str, request: str, entry: Stored) -> Replay:
        """The entry as a run that has ended."""
        replay = Replay(_given(spec, key, request, entry), entry.recording)
        self._registry.add_replay(replay)
        return replay


def _given(spec: RunSpec, key: str, request: str, entry: Stored) -> RunInfo:
    """What a run is about that gives out this entry."""
    age = entry.age_seconds
    ages = int(age), int(entry.fresh_seconds - age)
    return described(spec, key, "hit", request, ages)
