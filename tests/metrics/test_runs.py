"""What an ended run leaves behind."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import CancelReason, Outcome, RunInfo
from llm_stream.metrics.runs import RunFigures

from ..engine.conftest import describe


def make_run(recipe: str = "generate") -> Run:
    """A run that has not started."""
    return Run(
        RunInfo(id="run_1", recipe=recipe, model="m", key="k"),
        max_log_bytes=1 << 20,
        describe_error=describe,
    )


async def finished(run: Run, source: AsyncGenerator[Any]) -> CollectorRegistry:
    """The metrics after this run, which has said what the source says."""
    registry = CollectorRegistry()
    # For the figures each run ends six seconds after its creation.
    run.on_finished(RunFigures(registry, str, lambda: run.log.born + 6).run_finished)
    run.start(source)
    assert run.task is not None
    await asyncio.wait((run.task,))
    return registry


async def test_own_time_is_what_is_left_of_a_run_beside_its_models() -> None:
    """Seconds that the recipe had models called are not the service's own."""

    async def source() -> AsyncGenerator[Any]:
        yield Outcome("stop", None, 5.0)

    registry = await finished(make_run(), source())

    assert registry.get_sample_value("llm_stream_own_seconds_count") == 1
    assert registry.get_sample_value("llm_stream_own_seconds_sum") == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(("recipe", "count"), [("generate", 1), ("evaluate", 0)])
async def test_gaps_are_observed_once_an_answer(recipe: str, count: int) -> None:
    """However many pieces there were; and only of runs that call models themselves."""
    texts = "abcdef"

    async def source() -> AsyncGenerator[Any]:
        for text in texts:
            yield {"type": "text.delta", "text": text}
        yield Outcome("stop")

    registry = await finished(make_run(recipe), source())
    label = {"model": "m"}
    for name in ("llm_stream_chunk_seconds", "llm_stream_longest_gap_seconds"):
        assert (registry.get_sample_value(f"{name}_count", label) or 0) == count


@pytest.mark.parametrize("reason", ["requested", "abandoned", "deadline", "shutdown"])
async def test_cancels_are_counted_by_reason(reason: CancelReason) -> None:
    """Each cancelled run counts once, under what has ended it; its own time does not count."""
    run = make_run()

    async def source() -> AsyncGenerator[Any]:
        asyncio.get_running_loop().call_soon(run.cancel, reason)
        await asyncio.Event().wait()
        yield Outcome("stop")

    registry = await finished(run, source())

    assert registry.get_sample_value("llm_stream_cancels_total", {"reason": reason}) == 1
    assert registry.get_sample_value("llm_stream_own_seconds_count") == 0


async def test_tokens_are_those_of_the_model_that_answered() -> None:
    """A fallback's tokens are not counted as the model's that was asked."""

    async def source() -> AsyncGenerator[Any]:
        yield {
            "type": "attempt.failed", "attempt": 1, "model": "m", "error": {},
            "next": {"model": "other", "delay_ms": 0},
        }  # fmt: skip
        yield {
            "type": "usage", "model": "other-2026", "input_tokens": 3, "output_tokens": 5,
            "details": None, "estimated": False,
        }  # fmt: skip
        yield Outcome("stop")

    registry = await finished(make_run(), source())
    name = "llm_stream_tokens_total"

    assert registry.get_sample_value(name, {"model": "other", "direction": "output"}) == 5
    assert registry.get_sample_value(name, {"model": "m", "direction": "output"}) is None
