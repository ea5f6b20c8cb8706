"""Models that are left alone: who is spared, who finds out, whose failures count."""

import asyncio
from typing import Any

import pytest

from llm_stream.errors import (
    ModelResting,
    RateLimited,
    StreamError,
    UpstreamFailed,
    UpstreamRejected,
)
from llm_stream.models.timers import Timeouts
from llm_stream.testing import Fault, Script, ScriptedModel

from .attempting import Bench, failing, failures_of, spec, text_of

FINE = Script(chunks=("fine",))
ONCE = {"retries": {"attempts": 1}, "breaker": {"failures": 2, "open_seconds": 10}}
SILENT = Script(fault=Fault(stall=True))


async def refuse(bench: Bench, times: int = 2, **asked: Any) -> None:
    """Runs that fail one after the other."""
    for _ in range(times):
        with pytest.raises(StreamError):
            await bench.run(spec(**asked))


async def test_a_dead_model_is_not_called() -> None:
    """The run fails at once, with a time to come back."""
    model = ScriptedModel("a", failing())
    bench = Bench(model, **ONCE)
    await refuse(bench)
    with pytest.raises(ModelResting) as caught:
        await bench.run(spec())

    assert caught.value.retry_after_ms == 10_000
    assert len(model.calls) == 2


async def test_the_next_model_is_asked_instead() -> None:
    """A fallback answers without the pause and without the call."""
    a, b = ScriptedModel("a", failing()), ScriptedModel("b", FINE)
    bench = Bench(a, b, **ONCE)
    await refuse(bench)
    seen = await bench.run(spec(fallback_models=("b",)))

    assert failures_of(seen) == [(1, "a", "model_resting", "b", 0)]
    assert (text_of(seen), len(a.calls)) == ("fine", 2)


async def test_nobody_stands_in_line_for_a_dead_model() -> None:
    """It is not waited for, neither for a place nor for a provider's reset."""
    bench = Bench(ScriptedModel("a", failing()), **ONCE)
    await refuse(bench)
    bench.upstreams.note_limits("a", 0, 30)
    seen: list[Any] = []
    with pytest.raises(ModelResting):
        await bench.run(spec(), seen)

    assert seen == []


async def test_what_was_really_asked_explains_more() -> None:
    """When the fallback fails as well, the run says how, not that the first was left alone."""
    bench = Bench(ScriptedModel("a", failing()), ScriptedModel("b", failing()), **ONCE)
    await refuse(bench)

    with pytest.raises(UpstreamFailed, match="^b: "):
        await bench.run(spec(fallback_models=("b",)))


async def test_a_model_that_works_again_is_used_again() -> None:
    """After its time one call finds out; then all are let in."""
    model = ScriptedModel("a", failing(), failing(), FINE)
    bench = Bench(model, **ONCE)
    await refuse(bench)
    bench.now += 10

    assert text_of(await bench.run(spec())) == "fine"
    assert text_of(await bench.run(spec())) == "fine"


async def test_the_first_output_of_a_probe_lets_the_others_in() -> None:
    """They need not wait for the end of what may be a long answer."""
    slow = Script(chunks=("so ", "slow"), fault=Fault(at=1, stall=True))
    bench = Bench(ScriptedModel("a", failing(), failing(), slow, FINE), **ONCE)
    await refuse(bench)
    bench.now += 10
    seen: list[Any] = []
    probe = asyncio.create_task(bench.run(spec(), seen))
    while not seen:
        await asyncio.sleep(0)

    assert text_of(await bench.run(spec())) == "fine"
    probe.cancel()
    await asyncio.wait([probe])


async def test_a_cancelled_probe_is_followed_by_another() -> None:
    """Who gives up says nothing about the model."""
    bench = Bench(model := ScriptedModel("a", failing(), failing(), SILENT, FINE), **ONCE)
    await refuse(bench)
    bench.now += 10
    probe = asyncio.create_task(bench.run(spec()))
    while len(model.calls) < 3:
        await asyncio.sleep(0)
    with pytest.raises(ModelResting):
        await bench.run(spec())
    probe.cancel()
    await asyncio.wait([probe])

    assert text_of(await bench.run(spec())) == "fine"


@pytest.mark.parametrize("error", [UpstreamRejected("400"), RateLimited("429")])
async def test_refusals_do_not_close_a_model(error: StreamError) -> None:
    """A caller's bad or excessive request is not the model's failure."""
    bench = Bench(ScriptedModel("a", *[failing(error=error)] * 9, FINE), **ONCE)
    await refuse(bench, 9)

    assert text_of(await bench.run(spec())) == "fine"


async def test_a_caller_in_a_hurry_closes_no_model() -> None:
    """Timers count only where they gave the model as long as the configuration does."""
    bench = Bench(ScriptedModel("a", *[SILENT] * 3, FINE), **ONCE)
    await refuse(bench, 3, timeouts=Timeouts(first_token_seconds=0.001))

    assert text_of(await bench.run(spec())) == "fine"


async def test_silence_for_as_long_as_configured_counts() -> None:
    """A provider that hangs is left alone, so that not everybody waits for its timer."""
    configured = {"first_token_seconds": 0.001}
    bench = Bench(ScriptedModel("a", SILENT), **ONCE, timeouts=configured)
    await refuse(bench, 2, timeouts=Timeouts(first_token_seconds=0.001))

    with pytest.raises(ModelResting):
        await bench.run(spec())


async def test_long_answers_do_not_close_a_model() -> None:
    """One that still speaks when its time is over works."""
    long = Script(chunks=("x",) * 1000, delay_seconds=0.002)
    bench = Bench(ScriptedModel("a", long, long, FINE), **ONCE, timeouts={"total_seconds": 0.01})
    await refuse(bench, 2)

    assert text_of(await bench.run(spec())) == "fine"


OUTAGE = {
    "retries": {"attempts": 1},
    "breaker": {"failures": 9, "provider_failures": 2, "open_seconds": 10},
}


def behind(address: str | None, model_id: str, *scripts: Script) -> ScriptedModel:
    """A model that is asked at an address."""
    model = ScriptedModel(model_id, *scripts)
    model.address = address  # type: ignore[attr-defined]
    return model


async def test_an_outage_of_a_provider_spares_models_nobody_has_asked() -> None:
    """Two of its models fail; a third is not called, one of another provider is."""
    third = behind("x", "c", FINE)
    bench = Bench(
        behind("x", "a", failing()), behind("x", "b", failing()), third, behind("y", "d", FINE),
        **OUTAGE,
    )  # fmt: skip
    await refuse(bench, 1, model="a")
    await refuse(bench, 1, model="b")
    with pytest.raises(ModelResting, match="^c like others of its provider") as caught:
        await bench.run(spec(model="c"))

    assert caught.value.retry_after_ms == 10_000
    assert third.calls == []
    assert text_of(await bench.run(spec(model="c", fallback_models=("d",)))) == "fine"


async def test_one_call_finds_out_whether_a_provider_works() -> None:
    """While it does, its other models wait; its first output lets them in."""
    slow = Script(chunks=("so ", "slow"), fault=Fault(at=1, stall=True))
    bench = Bench(
        behind("x", "a", failing()), behind("x", "b", failing(), FINE),
        probed := behind("x", "c", SILENT, slow), **OUTAGE,
    )  # fmt: skip
    await refuse(bench, 1, model="a")
    await refuse(bench, 1, model="b")
    bench.now += 10
    silent = asyncio.create_task(bench.run(spec(model="c")))
    while not probed.calls:
        await asyncio.sleep(0)
    with pytest.raises(ModelResting):
        await bench.run(spec(model="b"))
    silent.cancel()
    await asyncio.wait([silent])
    seen: list[Any] = []
    probe = asyncio.create_task(bench.run(spec(model="c"), seen))
    while not seen:
        await asyncio.sleep(0)

    assert text_of(await bench.run(spec(model="b"))) == "fine"
    probe.cancel()
    await asyncio.wait([probe])


async def test_one_dead_model_closes_no_provider() -> None:
    """Its own breaker is there for that."""
    bench = Bench(behind("x", "a", failing()), behind("x", "b", FINE), **OUTAGE)
    await refuse(bench, 5, model="a")

    assert text_of(await bench.run(spec(model="b"))) == "fine"


async def test_plugins_models_have_no_provider_in_common() -> None:
    """Nobody knows which server is behind them."""
    bench = Bench(
        *(behind(None, name, failing()) for name in "ab"), behind(None, "c", FINE), **OUTAGE
    )
    await refuse(bench, 2, model="a")
    await refuse(bench, 2, model="b")

    assert text_of(await bench.run(spec(model="c"))) == "fine"
