"""Replays: runs that had ended when they began."""

import pytest

from llm_stream.engine.recording import Recording
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.replay import Replay, paced
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import Client, Outcome, RunInfo
from llm_stream.errors import RunExpired
from llm_stream.events import decoded, position_of

from .conftest import Clock, MakeRun, say
from .test_run import finished


async def recorded(make_run: MakeRun, *texts: str) -> Recording:
    """The recording of a run that said these texts."""
    run = make_run()
    run.start(say(*texts))
    await finished(run)
    return Recording.of(run)


def replay_of(recording: Recording, run_id: str = "run_2") -> Replay:
    """A replay under its own id."""
    info = RunInfo(id=run_id, recipe="generate", model="m", key="k", cache="hit", age_seconds=3)
    return Replay(info, recording)


async def test_a_replay_says_what_was_recorded(make_run: MakeRun) -> None:
    """Its log is whole from the beginning, under its own id, with contiguous cursors."""
    replay = replay_of(await recorded(make_run, "a", "b"))

    events = [decoded(event) for event in replay.events()]

    assert [event["id"] for event in events] == ["1-1", "1-2", "1-3", "1-4"]
    assert {event["run"] for event in events} == {"run_2"}
    assert (events[0]["cache"], events[0]["age_seconds"]) == ("hit", 3)
    assert [event.get("text") for event in events[1:-1]] == ["a", "b"]
    assert events[-1]["timings"]["total_ms"] == 0
    assert replay.done
    assert len(replay.log) == 4


async def test_only_what_was_read_is_shared(make_run: MakeRun) -> None:
    """Of replays only those count as told of that somebody has read, and now again."""
    registry = RunRegistry(retention_seconds=60, retention_bytes=100_000)
    told: list[str] = []
    registry.on_added = lambda run: told.append(run.id)
    recording = await recorded(make_run, "a")
    for name in ("run_2", "run_3"):
        registry.add_replay(replay_of(recording, name))
    registry.find("run_3").subscribe().close()

    assert [run.id for run in registry.added()] == told == ["run_3"]
    await registry.close()


async def test_a_replay_has_the_figures_of_a_finished_run(make_run: MakeRun) -> None:
    """State, chunks and characters are known before anybody has read it."""
    figures = replay_of(await recorded(make_run, "ab", "c")).statistics()

    assert (figures.state, figures.chunks, figures.text_chars) == ("completed", 2, 3)
    assert (figures.total_ms, figures.events) == (0, 4)


async def test_a_replay_is_read_like_any_run(make_run: MakeRun) -> None:
    """Readers come and go, from any cursor; nothing can cancel it."""
    replay = replay_of(await recorded(make_run, "a", "b"))

    with replay.subscribe("1-2") as reader:
        seen = [position_of(event) async for batch in reader.batches() for event in batch]

    assert seen == ["1-3", "1-4"]
    assert not replay.release("x")
    assert not replay.cancel("requested")


async def test_a_flood_of_replays_pushes_out_no_run(make_run: MakeRun, clock: Clock) -> None:
    """Replays have their own share of what is retained, and expire like runs."""
    registry = RunRegistry(retention_seconds=60, retention_bytes=80_000, clock=clock)
    run, _ = registry.start_or_join("k", lambda: started(make_run), Client())
    await finished(run)
    recording = Recording.of(run)
    for number in range(100):
        registry.add_replay(replay_of(recording, f"run_x{number}"))

    assert registry.find("run_1") is run
    assert registry.find("run_x99")
    with pytest.raises(RunExpired):
        registry.find("run_x0")
    assert registry.log_bytes < 80_000


def started(make_run: MakeRun) -> Run:
    """A run that says one word."""
    run = make_run()
    run.start(say("x"))
    return run


@pytest.mark.parametrize("pace", ["recorded", 1e6])
async def test_a_paced_replay_yields_the_recorded_payloads(make_run: MakeRun, pace: float) -> None:
    """Every payload as it was, then the outcome."""
    recording = await recorded(make_run, "a", "b")

    *payloads, outcome = [item async for item in paced(recording, pace)]

    assert payloads == [{"type": "text.delta", "text": text} for text in "ab"]
    assert outcome == Outcome("stop")
