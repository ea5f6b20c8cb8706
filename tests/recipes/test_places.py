"""Runs that wait for their model's place."""

import asyncio
from typing import Any

import pytest

from llm_stream.errors import UpstreamFailed
from llm_stream.testing import Fault, Script, ScriptedModel

from .attempting import Bench, failing, spec, text_of

STALLED = Script(fault=Fault(at=1, stall=True))
FINE = Script(chunks=("fine",))


async def holding(bench: Bench, model: str = "a") -> asyncio.Task[Any]:
    """A run that has its place and does not end."""
    seen: list[Any] = []
    task = asyncio.create_task(bench.run(spec(model=model), seen))
    while not seen:
        await asyncio.sleep(0)
    return task


@pytest.mark.parametrize(
    "section",
    [{"concurrent_calls": {"a": 1}}, {"provider_concurrent_calls": {"llm_stream": 1}}],
)
async def test_a_run_says_that_it_waits_for_a_place(section: dict[str, Any]) -> None:
    """Its position comes at once, its answer when the one ahead has left."""
    bench = Bench(model := ScriptedModel("a", STALLED, FINE), **section)
    first = await holding(bench)
    seen: list[Any] = []
    second = asyncio.create_task(bench.run(spec(), seen))
    while not seen:
        await asyncio.sleep(0)

    assert seen == [{"type": "run.queued", "position": 1}]
    assert len(model.calls) == 1
    first.cancel()
    await second
    assert text_of(seen) == "fine"


async def test_one_model_does_not_wait_for_another() -> None:
    """A full model keeps others waiting only where the provider is full as well."""
    bench = Bench(
        ScriptedModel("a", STALLED), ScriptedModel("b", FINE), concurrent_calls={"a": 1, "b": 1}
    )
    first = await holding(bench)

    assert text_of(await bench.run(spec(model="b"))) == "fine"
    first.cancel()


async def test_a_pause_between_calls_holds_no_place() -> None:
    """Others may call the model meanwhile."""
    bench = Bench(ScriptedModel("a", failing(), FINE), concurrent_calls={"a": 1})
    busy: list[int] = []

    async def pause(seconds: float) -> None:
        busy.append(bench.upstreams.of("a").places.busy)

    bench.pause = pause
    await bench.run(spec())

    assert busy == [0]


async def test_a_failed_call_gives_its_place_back() -> None:
    """However a call ends, the next one can be made."""
    bench = Bench(ScriptedModel("a", failing(1), FINE), concurrent_calls={"a": 1})
    with pytest.raises(UpstreamFailed):
        await bench.run(spec())

    assert text_of(await bench.run(spec())) == "fine"


async def test_a_providers_limit_is_waited_for() -> None:
    """No call is made that the provider has said it would refuse."""
    bench = Bench(model := ScriptedModel("a", FINE))
    bench.upstreams.note_limits("a", 0, 0.02)
    task = asyncio.create_task(bench.run(spec()))
    await asyncio.sleep(0)
    assert model.calls == []

    assert text_of(await task) == "fine"
