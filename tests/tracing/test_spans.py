"""The spans of a run, told from its events."""

from typing import Any

import pytest

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import RunInfo
from llm_stream.events import kind_of
from llm_stream.tracing.spans import Span, root_of, spans_of

from ..engine.conftest import Clock, describe

DELTA = {"type": "text.delta", "text": "canary"}


def usage(model: str = "m-2026") -> dict[str, Any]:
    """What a model reports at the end of a call."""
    return {"type": "usage", "model": model, "input_tokens": 3, "output_tokens": None}


def failed(following: str | None, delay_ms: int = 0) -> dict[str, Any]:
    """A call that failed, and who is asked next."""
    after = None if following is None else {"model": following, "delay_ms": delay_ms}
    return {
        "type": "attempt.failed", "attempt": 1, "model": "m", "next": after,
        "error": {"code": "upstream_failed", "detail": "canary"},
    }  # fmt: skip


COMPLETED = {"type": "run.completed", "usage": {"input_tokens": 3, "output_tokens": 4}}
FAILED = {"type": "run.failed", "error": {"code": "upstream_failed", "detail": "canary"}}
CANCELLED = {"type": "run.cancelled", "reason": "abandoned"}


def run_of(*events: tuple[int, Any], queued_ms: int = 0, **info: Any) -> Run:
    """A run that has said this, at these milliseconds; its last event ends it."""
    clock = Clock()
    facts: dict[str, Any] = {"recipe": "generate", "title": "canary", "request": "req_1"}
    about = RunInfo(id="run_1", model="m", key="k", **facts | info)
    log = EventLog("run_1", max_bytes=1 << 20, clock=clock)
    begin = clock.now
    log.append(about.started())
    for t_ms, payload in events:
        clock.now = begin + t_ms / 1000 + 0.0001
        log.append(payload)
    run = Run(about, max_log_bytes=1 << 20, describe_error=describe, log=log)
    run.tally.queued_ms = queued_ms
    run.tally.total_ms = events[-1][0]
    run.tally.began = True
    run.state = {"run.completed": "completed", "run.failed": "failed"}.get(  # type: ignore[assignment]
        kind_of(log.newest), "cancelled"
    )
    return run


def told(spans: list[Span]) -> list[tuple[str, float, float, str]]:
    """Name, begin, end and error of each."""
    return [(span.name, span.begin_ms, span.end_ms, span.error) for span in spans]


@pytest.mark.parametrize(
    ("events", "spans"),
    [
        ([(5, DELTA), (9, usage()), (9, COMPLETED)], [("chat m", 0, 9, "")]),
        (
            [(5, failed("m", 20)), (40, DELTA), (50, usage()), (51, COMPLETED)],
            [("chat m", 0, 5, "upstream_failed"), ("chat m", 25, 50, "")],
        ),
        (
            [(5, failed("b")), (8, failed(None)), (8, FAILED)],
            [("chat m", 0, 5, "upstream_failed"), ("chat b", 5, 8, "upstream_failed")],
        ),
        ([(7, FAILED)], [("chat m", 0, 7, "upstream_failed")]),
        ([(5, DELTA), (7, CANCELLED)], [("chat m", 0, 7, "abandoned")]),
        (
            [(5, DELTA), (9, usage()), (9, {"type": "run.restarted", "reason": "x"}), (12, DELTA),
             (15, usage()), (16, COMPLETED)],
            [("chat m", 0, 9, ""), ("chat m", 9, 15, "")],
        ),
        (
            [(5, failed("b")), (7, DELTA), (20, {"type": "run.restarted", "reason": "owner_lost"}),
             (25, DELTA), (30, usage()), (31, COMPLETED)],
            [("chat m", 0, 5, "upstream_failed"), ("chat b", 5, 20, "owner_lost"),
             ("chat m", 20, 30, "")],
        ),
    ],
    ids=["answered", "again", "nobody", "lonely failure", "cancelled", "repaired", "owner lost"],
)  # fmt: skip
def test_each_call_of_a_model_is_a_span(events: Any, spans: Any) -> None:
    """From when it was made to its usage or failure; a pause belongs to none."""
    assert told(spans_of(run_of(*events))) == spans


def test_the_queue_is_a_span() -> None:
    """The first call begins where it ends."""
    run = run_of((30, DELTA), (40, usage()), (41, COMPLETED), queued_ms=25)

    assert told(spans_of(run)) == [("queue", 0, 25, ""), ("chat m", 25, 40, "")]


def test_a_run_that_never_left_the_queue_called_nobody() -> None:
    """Its queue is all there is."""
    run = run_of((40, CANCELLED), queued_ms=40)
    run.tally.began = False

    assert told(spans_of(run)) == [("queue", 0, 40, "")]


def test_steps_are_spans_and_recipes_call_no_models() -> None:
    """Steps may overlap; one that did not end ends with the run."""
    begin = {"type": "step.started", "title": "canary"}
    run = run_of(
        (1, begin | {"step": "1"}), (2, begin | {"step": "2"}), (3, usage()),
        (5, {"type": "step.completed", "step": "1", "text": "canary"}), (9, CANCELLED),
        recipe="reason",
    )  # fmt: skip

    assert told(spans_of(run)) == [("step", 1, 5, ""), ("step", 2, 9, "")]
    assert [span.attributes for span in spans_of(run)] == [
        {"llm_stream.step": "1"}, {"llm_stream.step": "2"}
    ]  # fmt: skip


def test_a_replay_calls_no_model() -> None:
    """At a pace it is a run, but nobody was asked."""
    assert spans_of(run_of((5, DELTA), (6, usage()), (9, COMPLETED), cache="hit")) == []


def test_the_run_is_the_root() -> None:
    """With ids, cache, outcome, model and tokens; of a failure the code."""
    run = run_of((5, failed("b")), (6, DELTA), (7, usage()), (9, FAILED))
    root = root_of(run)

    assert (root.name, root.begin_ms, root.end_ms, root.error) == (
        "generate", 0, 9, "upstream_failed"
    )  # fmt: skip
    assert root.attributes == {
        "llm_stream.run": "run_1", "llm_stream.request": "req_1", "llm_stream.cache": "miss",
        "llm_stream.outcome": "failed", "llm_stream.attempts": 2, "llm_stream.first_token_ms": 6,
        "gen_ai.request.model": "m", "gen_ai.response.model": "b", "gen_ai.usage.input_tokens": 3,
    }  # fmt: skip


@pytest.mark.parametrize("ending", [COMPLETED, FAILED, CANCELLED], ids=lambda each: each["type"])
def test_no_text_is_in_any_span(ending: Any) -> None:
    """Neither of prompts, nor of answers, nor of errors."""
    run = run_of((1, failed("m")), (5, DELTA), (7, ending))

    assert "canary" not in str([root_of(run), *spans_of(run)])
