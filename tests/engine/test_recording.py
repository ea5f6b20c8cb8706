"""Recordings: what a completed run said, without what it took back."""

from collections.abc import AsyncGenerator
from dataclasses import fields
from typing import Any

import pytest

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.recording import InvalidRecording, Recording, Said
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Outcome
from llm_stream.errors import InternalError

from .conftest import MakeRun, say
from .test_run import finished

USAGE = {"type": "usage", "model": "m", "input_tokens": 1, "output_tokens": 2, "details": {},
         "estimated": False}  # fmt: skip


def vars_of(made: Recording) -> dict[str, Any]:
    """Its fields as they are."""
    return {item.name: getattr(made, item.name) for item in fields(made)}


async def restarted() -> AsyncGenerator[Any]:
    """A source that takes back its first words."""
    yield {"type": "text.delta", "text": "wrong"}
    yield USAGE
    yield {"type": "run.restarted", "reason": "invalid_output"}
    yield {"type": "text.delta", "text": "rig"}
    yield {"type": "text.delta", "text": "ht\n"}
    yield Outcome("stop", {"a": 1})


async def test_a_recording_holds_the_last_valid_output(make_run: MakeRun) -> None:
    """What a restart took back is gone; the tokens it cost are not."""
    run = make_run(structured=True, title="t", tags=("a",), template="x@1")
    run.start(restarted())
    await finished(run)

    made = Recording.of(run)

    assert made.said.kinds == ("usage", "text.delta", "text.delta")
    assert made.ending["result"] == {"a": 1}
    assert made.ending["text_chars"] == 6
    assert (made.key, made.template, made.tags, made.structured) == ("k", "x@1", ("a",), True)
    assert Recording.decode(made.encode()) == made


def slow_run(make_run: MakeRun, clock: Any) -> Run:
    """A run that has not started, and whose log goes by this clock."""
    log = EventLog("run_1", max_bytes=10_000_000, clock=clock)
    log.append(
        {"type": "run.started", "recipe": "generate", "model": "m", "cache": "miss", "key": "k"}
    )
    return make_run(log=log)


async def test_what_a_log_has_packed_is_not_kept_twice(make_run: MakeRun, clock: Any) -> None:
    """A recording of a long answer reads it in the log, and says what any other says."""
    run = slow_run(make_run, clock)

    async def slowly() -> AsyncGenerator[Any]:
        for number in range(200):
            clock.now += 0.05
            yield {"type": "text.delta", "text": f" word {number}"}
        yield USAGE
        yield Outcome("stop")

    run.start(slowly())
    await finished(run)
    made = Recording.of(run, lazily=True)

    assert run.log.packed
    assert callable(made.told)
    assert made.size > made.events * 150
    again = Recording.decode(made.encode())
    assert again == made
    assert again.said == Recording.of(run).said
    assert (again.events, again.fold.text) == (201, made.fold.text)
    assert isinstance(vars_of(made)["told"], Said)  # the log is not held any more


@pytest.mark.parametrize("kind", ["taken back", "long"])
async def test_a_log_that_holds_more_is_not_held(make_run: MakeRun, clock: Any, kind: str) -> None:
    """What a restart took back, or what is too long to be packed, is no part of a recording."""
    run = slow_run(make_run, clock)

    async def source() -> AsyncGenerator[Any]:
        for number in range(200):
            clock.now += 0.05
            text = f"{number}" * (1000 if kind == "long" and number > 40 else 1)
            yield {"type": "text.delta", "text": text}
        if kind == "taken back":
            yield {"type": "run.restarted", "reason": "invalid_output"}
            yield {"type": "text.delta", "text": "x"}
        yield Outcome("stop")

    run.start(source())
    await finished(run)

    assert run.log.packed
    assert isinstance(Recording.of(run, lazily=True).told, Said)


async def test_only_completed_runs_are_recorded(make_run: MakeRun) -> None:
    """A run under way has no recording."""
    run = make_run()
    with pytest.raises(InternalError):
        Recording.of(run)
    run.start(say("x"))
    await finished(run)

    assert Recording.of(run).run == run.id


async def test_payloads_begin_with_their_type(make_run: MakeRun) -> None:
    """What is read out of an event's bytes is looked for there."""
    run = make_run()
    run.start(say("x"))
    await finished(run)
    data = Recording.of(run).encode()
    turned = data.replace(b'{"type":"text.delta","text":"x"}', b'{"text":"x","type":"text.delta"}')
    assert turned != data

    with pytest.raises(InvalidRecording, match="type"):
        Recording.decode(turned)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"format":1}', b"\xff"])
def test_other_bytes_are_no_recording(data: bytes) -> None:
    """Bytes that are not ours are refused as such."""
    with pytest.raises(InvalidRecording):
        Recording.decode(data)
