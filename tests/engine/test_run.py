"""A run: one terminal event whatever happens, and the policy about who still wants it."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from llm_stream.engine.gate import Gate
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, Outcome
from llm_stream.errors import InvalidCursor, UpstreamFailed
from llm_stream.events import decoded, kind_of

from ..wire import ended
from .conftest import MakeRun, say


def types(run: Any) -> Any:
    """Types of all events, in order."""
    return [kind_of(event) for event in run.events()]


def terminal(run: Any) -> Any:
    """The last event, decoded."""
    return decoded(run.events()[-1])


async def finished(run: Any) -> None:
    """Wait for the run's end through a reader."""
    with run.subscribe("now") as reader:
        async for _ in reader.batches():
            pass


async def silent(reached: Any = None) -> AsyncGenerator[Any]:
    """A source that says nothing until it is cancelled."""
    if reached is not None:
        reached.set()
    await asyncio.get_running_loop().create_future()
    yield Outcome("stop")


async def test_the_first_event_is_there_at_creation(make_run: Any) -> None:
    """`run.started` is in the log before anything runs."""
    run = make_run(template="t@1")

    assert decoded(run.events()[0]) == {
        "id": "1-1", "run": "run_1", "t_ms": 0, "type": "run.started", "recipe": "generate",
        "model": "m", "cache": "miss", "key": "k", "template": "t@1",
    }  # fmt: skip


async def test_a_completed_run_carries_the_hash_of_its_text(make_run: Any) -> None:
    """text_sha256 and text_chars are those of the concatenated deltas."""
    run = make_run()
    run.start(say("Zür", "ich 🙂"))
    await finished(run)

    end = terminal(run)
    assert end["type"] == "run.completed"
    assert end["text_sha256"] == hashlib.sha256("Zürich 🙂".encode()).hexdigest()
    assert end["text_chars"] == 8
    assert run.state == "completed"


async def test_usage_is_summed_and_attempts_counted(make_run: Any) -> None:
    """Usage adds up over model calls; null stays null where none reported."""

    async def source() -> AsyncGenerator[Any]:
        for tokens in (3, None, 4):
            yield {"type": "usage", "model": "m", "input_tokens": tokens, "output_tokens": None,
                   "details": {}, "estimated": False}  # fmt: skip
        following = {"model": "m", "delay_ms": 5}
        yield {"type": "attempt.failed", "attempt": 1, "model": "m", "error": {},
               "next": following}  # fmt: skip
        yield Outcome("stop")

    run = make_run()
    run.start(source())
    await finished(run)

    assert terminal(run)["usage"] == {"input_tokens": 7, "output_tokens": None}
    assert terminal(run)["attempts"] == 2


async def test_a_restart_clears_the_hash(make_run: Any) -> None:
    """After `run.restarted` only what follows counts as the answer."""

    async def source() -> AsyncGenerator[Any]:
        yield {"type": "text.delta", "text": "wrong"}
        yield {"type": "run.restarted", "reason": "upstream_failed"}
        yield {"type": "text.delta", "text": "right"}
        yield Outcome("stop")

    run = make_run()
    run.start(source())
    await finished(run)

    assert terminal(run)["text_sha256"] == hashlib.sha256(b"right").hexdigest()


async def test_cancelled_before_its_first_step_it_still_ends(make_run: Any) -> None:
    """A run cancelled at once has started and cancelled events, no more."""
    run = make_run()
    run.start(silent())

    assert run.cancel("requested")
    await finished(run)

    assert types(run) == ["run.started", "run.cancelled"]
    assert terminal(run)["reason"] == "requested"


async def test_only_the_first_cancel_counts(make_run: Any) -> None:
    """A second cancel neither changes the reason nor interrupts the closing."""
    run = make_run()
    closed = []

    async def source() -> AsyncGenerator[Any]:
        try:
            await asyncio.get_running_loop().create_future()
            yield Outcome("stop")
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    run.start(source())
    await asyncio.sleep(0)
    assert run.cancel("requested")
    assert not run.cancel("shutdown")
    await finished(run)

    assert closed == [True]
    assert terminal(run)["reason"] == "requested"
    assert not run.cancel("requested")


async def test_our_errors_are_described_and_bugs_are_not(make_run: Any) -> None:
    """A failure of ours shows its code; any other becomes `internal_error` and is kept."""

    async def breaks(error: Any) -> AsyncGenerator[Any]:
        yield {"type": "text.delta", "text": "par"}
        raise error

    ours, bug = make_run("run_1", request="req_9"), make_run("run_2")
    ours.start(breaks(UpstreamFailed("down")))
    bug.start(breaks(KeyError("secret")))
    await finished(ours)
    await finished(bug)

    assert terminal(ours)["error"] == {
        "code": "upstream_failed", "run": "run_1", "request": "req_9",
    }  # fmt: skip
    assert terminal(bug)["error"]["code"] == "internal_error"
    assert isinstance(bug.error, KeyError)


async def test_a_source_without_an_outcome_is_a_bug(make_run: Any) -> None:
    """A recipe that just stops never looks completed."""

    async def source() -> AsyncGenerator[Any]:
        yield {"type": "text.delta", "text": "half"}

    run = make_run()
    run.start(source())
    await finished(run)

    assert terminal(run)["error"]["code"] == "internal_error"


async def test_too_much_output_fails_the_run_and_closes_the_source(make_run: Any) -> None:
    """A run over its log's bound fails with `output_too_large`, its source closed."""
    closed = []

    async def endless() -> AsyncGenerator[Any]:
        try:
            while True:
                yield {"type": "text.delta", "text": "x" * 100}
        finally:
            closed.append(True)

    run = make_run(max_log_bytes=5000)
    run.start(endless())
    await finished(run)

    assert terminal(run)["error"]["code"] == "output_too_large"
    assert closed == [True]
    assert run.log.bytes < 6000


async def test_text_that_json_cannot_say_fails_the_run(make_run: Any) -> None:
    """A lone surrogate from a model is `invalid_output`, not a crash."""
    run = make_run()
    run.start(say("ok", "\ud800"))
    await finished(run)

    assert terminal(run)["error"]["code"] == "invalid_output"


async def test_waiting_for_a_slot_is_an_event(make_run: Any) -> None:
    """A run behind a busy gate says its position, and runs when the slot is free."""
    gate = Gate(1, 3, "test")
    first, second = make_run("run_1"), make_run("run_2")
    reached = asyncio.Event()
    first.start(silent(reached), [gate.admit()])
    second.start(say("x"), [gate.admit()])
    await reached.wait()
    await asyncio.sleep(0)
    assert second.state == "queued"

    first.cancel("requested")
    await finished(second)

    assert decoded(second.events()[1])["position"] == 1
    assert types(second)[-1] == "run.completed"
    assert gate.waiting == 0


async def test_the_last_reader_leaving_abandons_the_run_after_its_grace(make_run: Any) -> None:
    """With a grace of 0 s the run is cancelled as abandoned when nobody reads it."""
    run = make_run(abandon_seconds=0.0)
    run.start(silent())
    one, two = run.subscribe(), run.subscribe()
    one.close()
    await asyncio.sleep(0)
    assert not run.done

    two.close()
    await asyncio.wait([run.task])

    assert terminal(run)["reason"] == "abandoned"


async def test_a_reader_that_comes_back_in_time_keeps_the_run(make_run: Any) -> None:
    """A new subscription within the grace takes the abandonment back."""
    run = make_run(abandon_seconds=0.0)
    reached = asyncio.Event()
    run.start(silent(reached))
    run.subscribe().close()
    with run.subscribe():
        await reached.wait()
        await asyncio.sleep(0)
        assert not run.done

    await asyncio.wait([run.task])
    assert terminal(run)["reason"] == "abandoned"


async def test_a_run_to_be_continued_outlives_its_readers(make_run: Any) -> None:
    """Without a grace nobody's leaving ends the run."""
    run = make_run(abandon_seconds=None)
    reached = asyncio.Event()
    run.start(silent(reached))
    run.subscribe().close()
    await reached.wait()

    assert not run.done
    run.cancel("shutdown")
    await finished(run)


async def test_explicit_cancel_ends_a_shared_run_with_its_last_claim(make_run: MakeRun) -> None:
    """Two clients share a run; it ends when the second one cancels, asked twice or not."""
    run = make_run(claim="ann")
    run.start(silent())
    run.join(Client("bob"))

    assert not run.release("ann")
    assert not run.release("ann")
    assert run.release("bob")
    await finished(run)


async def test_a_superseded_run_ends_with_its_process(make_run: MakeRun) -> None:
    """Another replica has it and has not ended it: a shutdown here calls it cancelled, once."""
    run = make_run()
    told: list[Any] = []
    run.on_finished(lambda run: told.append((run.state, run.superseded, run.done)))
    run.start(silent())
    run.hand_over()
    await ended(run)
    assert told == []

    assert not run.cancel("shutdown")
    assert not run.cancel("shutdown")
    assert told == [("cancelled", True, False)]


async def test_a_task_that_will_not_end_does_not_keep_its_run(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that swallows cancellations is asked three times; then the run ends alone."""
    monkeypatch.setattr("llm_stream.engine.insistence.INSIST_SECONDS", 0.001)
    asked = []
    freed = asyncio.Event()

    async def stubborn() -> AsyncGenerator[Any]:
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                asked.append(1)
        yield {"type": "text.delta", "text": "too late"}

    run = make_run()
    run.start(stubborn())
    await asyncio.sleep(0)
    run.cancel("requested")
    await finished(run)

    assert types(run) == ["run.started", "run.cancelled"]
    assert len(asked) == 3
    freed.set()
    await ended(run)
    assert types(run) == ["run.started", "run.cancelled"]


async def test_an_end_that_cannot_be_described_is_still_an_end(make_run: MakeRun) -> None:
    """Whatever goes wrong with the last event, readers get one."""

    async def source() -> AsyncGenerator[Any]:
        yield {"type": "text.delta", "text": "x"}
        yield Outcome("bad \udcff")

    run = make_run()
    run.start(source())
    await finished(run)

    assert terminal(run)["type"] == "run.failed"
    assert terminal(run)["error"]["code"] == "internal_error"
    assert run.state == "failed"


async def test_a_failed_run_keeps_no_frames(make_run: Any) -> None:
    """The error of a retained run does not hold on to the call it came from."""

    async def breaks() -> AsyncGenerator[Any]:
        raise UpstreamFailed("down") from ConnectionError("reset")
        yield

    run = make_run()
    run.start(breaks())
    await finished(run)

    assert run.error is not None
    assert run.error.__traceback__ is None
    assert run.error.__cause__ is not None
    assert run.error.__cause__.__traceback__ is None


async def test_an_error_that_is_its_own_cause_ends_too(make_run: MakeRun) -> None:
    """Forgetting frames walks a chain once, however it is tied together."""
    knot = UpstreamFailed("down")

    async def breaks() -> AsyncGenerator[Any]:
        knot.__cause__ = knot
        raise knot
        yield

    run = make_run()
    run.start(breaks())
    await finished(run)

    assert terminal(run)["error"]["code"] == "upstream_failed"


async def test_a_bad_cursor_opens_no_reader(make_run: Any) -> None:
    """`subscribe` with a cursor never issued raises and counts nobody."""
    run = make_run()

    with pytest.raises(InvalidCursor):
        run.subscribe("1-9")

    assert run.readers == 0


async def test_who_fails_at_the_end_keeps_nobody_from_it(
    make_run: MakeRun, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are told, the state is the run's own, and the log has the fault."""
    run, told = make_run(), list[str]()

    def fail(_run: Run) -> None:
        raise ValueError("disk")

    run.on_finished(fail)
    run.on_finished(lambda run: told.append(run.state))
    run.start(say("x"))
    await finished(run)

    assert told == ["completed"]
    assert "disk" in caplog.text
