"""Pieces engine tests are made of: a movable clock and runs of hand-made sources."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, Outcome, RunInfo
from llm_stream.payloads import Payload


class Clock:
    """Monotonic seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def describe(error: object, *, run: str | None, request: str) -> Any:
    """A problem object, as short as one can be."""
    return {"code": getattr(error, "code", "?"), "run": run, "request": request}


async def say(*texts: str) -> AsyncGenerator[Payload | Outcome]:
    """A source that says these texts and completes."""
    for text in texts:
        yield {"type": "text.delta", "text": text}
    yield Outcome("stop")


MakeRun = Callable[..., Run]


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def make_run() -> MakeRun:
    """Makes a run that has not started: `make_run(id="run_1", key="k", ...)`."""

    def make(
        run_id: str = "run_1",
        key: str = "k",
        max_log_bytes: int = 1_000_000,
        abandon_seconds: float | None = None,
        claim: str = "",
        log: EventLog | None = None,
        **info: object,
    ) -> Run:
        return Run(
            RunInfo(id=run_id, recipe="generate", model="m", key=key, **info),  # type: ignore[arg-type]
            max_log_bytes=max_log_bytes,
            describe_error=describe,
            client=Client(claim, abandon_seconds),
            log=log,
        )

    return make
