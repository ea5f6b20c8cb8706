"""Failures before the first output: asked again, elsewhere, or not at all."""

import asyncio
from contextlib import aclosing, suppress
from typing import Any

import pytest

from llm_stream.errors import (
    ContentRefused,
    ContextTooLong,
    InvalidOption,
    MissingKey,
    RateLimited,
    StreamError,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamTimedOut,
)
from llm_stream.models.timers import Timeouts
from llm_stream.testing import Fault, Script, ScriptedModel

from .attempting import Bench, failing, failures_of, never, spec, text_of

FINE = Script(chunks=("fine",))


async def test_a_failure_that_may_pass_is_asked_again() -> None:
    """Each failed call is an event with the next one's model and pause; then the answer comes."""
    model = ScriptedModel("a", failing(), failing(), FINE)
    bench = Bench(model)
    seen = await bench.run(spec())

    assert failures_of(seen) == [
        (1, "a", "upstream_failed", "a", 500),
        (2, "a", "upstream_failed", "a", 1000),
    ]
    assert bench.pauses == [0.5, 1.0]
    assert text_of(seen) == "fine"


async def test_the_next_model_is_asked_when_one_has_used_its_attempts() -> None:
    """Without a pause, and with as many attempts of its own."""
    a, b = ScriptedModel("a", failing()), ScriptedModel("b", failing(), FINE)
    seen = await Bench(a, b, retries={"attempts": 2}).run(spec(fallback_models=("b",)))

    assert failures_of(seen) == [
        (1, "a", "upstream_failed", "a", 500),
        (2, "a", "upstream_failed", "b", 0),
        (3, "b", "upstream_failed", "b", 500),
    ]
    assert text_of(seen) == "fine"


async def test_the_first_error_is_the_runs() -> None:
    """When nobody has answered, the run says what the model that was asked said at first."""
    a = ScriptedModel("a", failing(error=ConnectionError("first")), failing())
    b = ScriptedModel("b", failing(error=MissingKey("no key")))
    seen: list[Any] = []
    with pytest.raises(UpstreamFailed, match="first"):
        await Bench(a, b, retries={"attempts": 2}).run(spec(fallback_models=("b",)), seen)

    assert failures_of(seen)[-1] == (3, "b", "missing_key", None, None)


async def test_a_lonely_failure_is_no_event() -> None:
    """Where only one call was made, `run.failed` says it all."""
    seen: list[Any] = []
    with pytest.raises(UpstreamRejected):
        await Bench(ScriptedModel("a", failing(error=UpstreamRejected("400")))).run(spec(), seen)

    assert seen == []


NOT_AGAIN: list[StreamError] = [UpstreamRejected("400"), ContextTooLong("10 tokens too long")]


@pytest.mark.parametrize("error", NOT_AGAIN)
async def test_what_a_model_refuses_goes_to_the_next(error: StreamError) -> None:
    """The same model would say it again; one with a larger context may not."""
    a, b = ScriptedModel("a", failing(error=error)), ScriptedModel("b", FINE)
    seen = await Bench(a, b).run(spec(fallback_models=("b",)))

    assert (len(a.calls), text_of(seen)) == (1, "fine")


@pytest.mark.parametrize("error", [ContentRefused("policy"), InvalidOption("temperature")])
async def test_a_refusal_of_the_content_is_final(error: StreamError) -> None:
    """No fallback is a way around a policy, nor around a bad request."""
    b = ScriptedModel("b", FINE)
    with pytest.raises(type(error)):
        await Bench(ScriptedModel("a", failing(error=error)), b).run(spec(fallback_models=("b",)))

    assert b.calls == []


async def test_what_a_fallback_says_of_the_request_hides_nothing() -> None:
    """An option that only the fallback lacks is not why the run failed."""
    a, b = ScriptedModel("a", failing()), ScriptedModel("b", failing(error=InvalidOption("seed")))
    with pytest.raises(UpstreamFailed):
        await Bench(a, b).run(spec(fallback_models=("b",)))


async def test_a_refusal_is_told_though_another_error_came_first() -> None:
    """What ends everything explains more than what made us ask again."""
    model = ScriptedModel("a", failing(), failing(error=ContentRefused("policy")))

    with pytest.raises(ContentRefused):
        await Bench(model).run(spec())


async def test_a_silent_model_is_not_asked_again() -> None:
    """After its timer the next model is asked, at once."""
    a, b = ScriptedModel("a", Script(fault=Fault(stall=True))), ScriptedModel("b", FINE)
    timeouts = Timeouts(first_token_seconds=0.01)
    seen = await Bench(a, b).run(spec(fallback_models=("b",), timeouts=timeouts))

    assert failures_of(seen) == [(1, "a", "upstream_timed_out", "b", 0)]
    assert (len(a.calls), text_of(seen)) == (1, "fine")
    assert a.calls[0].closed.is_set()


async def test_a_silent_model_alone_fails_after_one_call() -> None:
    """Without another model the timer ends the run."""
    model = ScriptedModel("a", Script(fault=Fault(stall=True)))
    with pytest.raises(UpstreamTimedOut):
        await Bench(model).run(spec(timeouts=Timeouts(first_token_seconds=0.01)))

    assert len(model.calls) == 1


async def test_a_pause_a_provider_asks_for_is_kept() -> None:
    """Retry-After is waited for, with a little chance on top."""
    busy = RateLimited("429", retry_after_ms=4000)
    bench = Bench(ScriptedModel("a", failing(error=busy), FINE))
    await bench.run(spec())

    assert bench.pauses == [pytest.approx(4.4)]


async def test_too_long_a_pause_goes_to_the_next_model() -> None:
    """A provider that wants an hour is not asked again."""
    busy = RateLimited("429", retry_after_ms=3_600_000)
    a, b = ScriptedModel("a", failing(error=busy)), ScriptedModel("b", FINE)
    seen = await Bench(a, b).run(spec(fallback_models=("b",)))

    assert failures_of(seen) == [(1, "a", "rate_limited", "b", 0)]


async def test_an_outage_is_not_multiplied() -> None:
    """A hundred requests to a dead model make a hundred calls and the budget, not three hundred."""
    model = ScriptedModel("a", failing())
    bench = Bench(model, retries={"budget": 7}, breaker={"failures": 1000})
    for _ in range(100):
        with pytest.raises(UpstreamFailed):
            await bench.run(spec())

    assert len(model.calls) == 107


async def test_answers_are_not_taken_for_failures_by_the_budget() -> None:
    """A model that fails every second time is asked again as often as it answers."""
    scripts = [failing(), FINE] * 50
    bench = Bench(ScriptedModel("a", *scripts), retries={"budget": 1, "budget_share": 1})
    for _ in range(50):
        assert text_of(await bench.run(spec())) == "fine"


async def test_a_cancel_ends_a_pause_at_once() -> None:
    """Cancelled between two calls, the run ends without another one and leaves no task."""
    model = ScriptedModel("a", failing())
    bench = Bench(model)
    paused = asyncio.Event()

    async def pause(seconds: float) -> None:
        paused.set()
        await asyncio.get_running_loop().create_future()

    bench.pause = pause
    before = asyncio.all_tasks()
    task = asyncio.create_task(bench.run(spec()))
    await paused.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(model.calls) == 1
    assert asyncio.all_tasks() == before


async def test_a_reader_that_leaves_in_a_pause_ends_it() -> None:
    """Closing the recipe after `attempt.failed` makes no further call."""
    model = ScriptedModel("a", failing())
    async with aclosing(Bench(model).recipe.run(spec(), never)) as payloads:
        assert failures_of([await anext(payloads)])

    assert len(model.calls) == 1


async def test_a_thousand_faulty_runs_leave_nothing() -> None:
    """No task, and no upstream that was not closed."""
    stall = Script(fault=Fault(at=1, stall=True))
    scripts = [failing(), failing(2), Script(fault=Fault(at=1, end=True)), stall, FINE]
    model = ScriptedModel("a", *(scripts * 600))
    bench = Bench(model, retries={"budget": 10_000}, breaker={"failures": 10_000})
    before = asyncio.all_tasks()
    for _ in range(1000):
        with suppress(UpstreamFailed, UpstreamTimedOut):
            await bench.run(spec(timeouts=Timeouts(idle_seconds=0.001)))

    assert asyncio.all_tasks() == before
    assert all(call.closed.is_set() for call in model.calls)


async def test_an_error_does_not_keep_its_call_alive() -> None:
    """What is remembered of a failed call has no frames, which would hold its response."""
    bench = Bench(ScriptedModel("a", failing(), FINE))
    await bench.run(spec())
    (error,) = bench.errors

    assert error.__traceback__ is None
    assert error.__cause__ is None or error.__cause__.__traceback__ is None


async def test_attempts_are_counted_by_model_and_code() -> None:
    """What /metrics shows: failures by code, answers as "ok"."""
    bench = Bench(ScriptedModel("a", failing(), FINE))
    await bench.run(spec())

    assert bench.upstreams.attempts == {("a", "upstream_failed"): 1, ("a", "ok"): 1}


async def test_repairs_are_asked_again_like_anything_else() -> None:
    """A second call that fails before its output does not fail the run."""
    schema = {"type": "object", "required": ["name"]}
    model = ScriptedModel("a", Script(chunks=("{}",)), failing(), Script(chunks=('{"name": 1}',)))
    seen = await Bench(model).run(spec(schema=schema))

    assert seen[-1].result == {"name": 1}
    assert failures_of(seen) == [(1, "a", "upstream_failed", "a", 500)]


async def test_a_model_that_drips_gives_way_to_the_next() -> None:
    """Too slow is as silent: with `restart` the next model answers instead."""
    drip = ScriptedModel("a", Script(chunks=("x",) * 1000, delay_seconds=0.005))
    limits = Timeouts(min_tokens_per_second=1000, slow_window_seconds=0.02)
    asked = spec(fallback_models=("b",), timeouts=limits, on_midstream_failure="restart")
    seen = await Bench(drip, ScriptedModel("b", FINE)).run(asked)

    assert failures_of(seen) == [(1, "a", "upstream_timed_out", "b", 0)]
    assert text_of(seen) == "fine"


async def test_a_fallback_has_its_own_timers() -> None:
    """A slow model that is known to be slow is not judged by the patience for a fast one."""
    silent, slow = Script(fault=Fault(stall=True)), Script(chunks=("fine",), delay_seconds=0.05)
    bench = Bench(
        ScriptedModel("a", silent),
        ScriptedModel("b", slow),
        timeouts={"first_token_seconds": 0.01},
        per_model_timeouts={"b": {"first_token_seconds": 30}},
    )

    assert text_of(await bench.run(spec(fallback_models=("b",)))) == "fine"
