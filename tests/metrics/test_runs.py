"""What an ended run leaves behind."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from llm_stream.engine.gate import Gate
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import CancelReason, Outcome, RunInfo
from llm_stream.metrics.runs import RunFigures

from ..engine.conftest import describe, say


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


async def test_a_wait_that_was_cancelled_is_a_wait() -> None:
    """It was as long as the run; inner runs, which pass no gate, are not counted as short ones."""
    gate = Gate(1, 9, "test")
    await gate.admit().enter(lambda _: None)
    run, inner, registry = make_run(), make_run(), CollectorRegistry()
    inner.info = inner.info._replace(parent="run_0")
    figures = RunFigures(registry, str)
    for each in (run, inner):
        each.on_finished(figures.run_finished)
        each.start(say("x"), [gate.admit()])
    await asyncio.sleep(0)
    run.log.born -= 2
    for each in (run, inner):
        each.cancel("requested")
        assert each.task is not None
        await asyncio.wait((each.task,))

    assert registry.get_sample_value("llm_stream_queue_seconds_count") == 1
    assert registry.get_sample_value("llm_stream_queue_seconds_sum") == pytest.approx(2, abs=0.5)


def test_internal_errors_are_told_before_the_first() -> None:
    """An alert sees the first one only as a rise from 0."""
    registry = CollectorRegistry()
    RunFigures(registry, str)

    assert registry.get_sample_value("llm_stream_errors_total", {"code": "internal_error"}) == 0


async def test_a_run_that_another_replica_has_taken_is_counted_there() -> None:
    """And not here, with no time of its own."""
    run, registry = make_run(), CollectorRegistry()
    run.superseded = True
    RunFigures(registry, str).run_finished(run)

    assert registry.get_sample_value("llm_stream_run_seconds_count", {"recipe": "generate"}) is None
