"""benchmarks/speed believes nothing that it has not counted, and asks slow systems less."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.speed import measuring, scenarios, session
from benchmarks.speed.load import Job, Load, quantile
from benchmarks.speed.measuring import Bench, Pace, Scenario, Wrong
from benchmarks.speed.processes import Running, cpu_seconds
from benchmarks.speed.systems import OPENAI
from benchmarks.speed.upstream import burst


class System:
    """A system that uses no CPU, and always has the same to say."""

    name, dialect, port, pid, upstream = "fake", OPENAI, 1, 0, 2

    def cpu_seconds(self) -> float:
        return 0.0

    def settle(self) -> bool:
        return True

    def resident_bytes(self, *, peak: bool = False) -> int:
        return 0

    def forget_peak(self) -> None:
        """It remembers nothing."""


class Told:
    """A load that answers every job at once, some tokens or answers short."""

    def __init__(self, *, tokens: int = 0, lost: int = 0) -> None:
        self.jobs: list[Job] = []
        self._tokens = tokens
        self._lost = lost

    def do(self, job: Job) -> dict[str, Any]:
        self.jobs.append(job)
        asked = job.connections * job.each
        said = asked * int(job.model.partition("-")[2])
        figures = {"first_ms": 1.0, "first_p99_ms": 1.0, "gap_ms": 1.0, "gap_p99_ms": 1.0}
        return figures | {
            "seconds": 1.0, "tokens": said - self._tokens, "whole": asked - self._lost,
            "lost": self._lost,
        }  # fmt: skip

    @property
    def load(self) -> Load:
        return cast("Load", self)


FAKE = cast("Running", System())


def test_all_tokens_make_a_figure() -> None:
    """256 streams of 200 tokens in a second are 51,200 tokens a second."""
    figures = scenarios.streams("burst")(FAKE, Told().load, Pace())

    assert figures["tokens_per_second"] == 51_200


@pytest.mark.parametrize("told", [Told(tokens=1), Told(tokens=-1), Told(lost=1)])
def test_a_lost_token_or_answer_ends_a_scenario(told: Told) -> None:
    """A token too few or too many, or an answer that is lost, and nothing is said of time."""
    with pytest.raises(Wrong):
        scenarios.streams("burst")(FAKE, told.load, Pace())


@pytest.mark.parametrize("name", scenarios.QUICK)
def test_a_slow_system_is_asked_less(name: str) -> None:
    """A system of 300 ms a call and 1 ms a token is asked for no more than fits in the time."""
    told = Told()
    pace = Pace(call_seconds=0.3, token_seconds=0.001, longest_seconds=8)

    scenarios.QUICK[name].run(FAKE, told.load, pace)

    job = told.jobs[-1]
    tokens = 0 if job.kind == "json" else int(job.model.partition("-")[2])
    assert job.connections * job.each * (0.3 + 0.001 * tokens) <= 8


def test_a_fast_system_is_asked_for_all() -> None:
    """10 us a token are no reason to ask for less, nor is not to know."""
    assert Pace(0.0003, 1e-5, 4.0).fit(256, 200) == 256
    assert Pace().fit(256, 200) == 256
    assert Pace(0.0003, 1e-5).bears(2000) == 2000


def test_a_slow_system_is_offered_what_it_bears() -> None:
    """A token of 500 us at 20 a second: half a core is 50 streams."""
    told = Told()
    slow = Pace(0.03, 0.0005)

    figures = scenarios.paced(1000)(FAKE, told.load, slow)

    assert told.jobs[-1].connections == figures["streams"] == 50
    assert figures["lost"] == figures["lost_tokens"] == 0


def test_streams_lose_no_token_unseen() -> None:
    """A token that is missing among paced streams is told."""
    assert scenarios.paced(10)(FAKE, Told(tokens=3).load, Pace())["lost_tokens"] == 3


def test_a_stream_is_read_as_text() -> None:
    """What the fake upstream streams is the text that it should be."""
    body = burst(3).partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")

    assert measuring.text_of(body) == " lorem" * 3


@pytest.mark.parametrize(
    ("said", "text"),
    [({"text": "a"}, "a"), ({"choices": [{"message": {"content": "b"}}]}, "b"), ({}, "None")],
)
def test_a_plain_answer_is_read_as_text(said: dict[str, Any], text: str) -> None:
    """Ours has `text`, OpenAI's the message of its first choice, and another has neither."""
    assert measuring.plain_text(json.dumps(said).encode()) == text


def test_quantiles_are_milliseconds() -> None:
    """Of 1 to 101 seconds half is 51, and of none there is nothing to say."""
    values = [float(value) for value in range(1, 102)]

    assert quantile(values, 0.5) == 51_000
    assert quantile([], 0.99) is None
    assert quantile([0.25], 0.99) == 250


def test_medians_leave_out_what_was_not_measured() -> None:
    """Of 1, nothing and 3 the median is 2; of nothing at all there is none."""
    runs: list[dict[str, Any]] = [{"a": 1.0, "b": None}, {"a": None, "b": None}, {"a": 3.0}]

    assert session.medians(runs) == {"a": 2.0}


def test_cpu_is_read_to_less_than_a_tick() -> None:
    """The clock of this process from outside is its own clock, to a millisecond."""
    until = time.process_time() + 0.003
    while time.process_time() < until:
        pass

    assert cpu_seconds(os.getpid()) == pytest.approx(time.process_time(), abs=0.001)


def test_a_process_that_is_gone_uses_nothing() -> None:
    """A number that no process has is no error."""
    assert cpu_seconds(2**22 + 1) == 0


def test_a_system_that_fails_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one system gets wrong is told; the others are measured, and interleaved."""

    @contextmanager
    def start(_port: int, _folder: Path) -> Iterator[Running]:
        yield FAKE

    @contextmanager
    def broken(_port: int, _folder: Path) -> Iterator[Running]:
        raise RuntimeError("It does not listen")
        yield

    order: list[str] = []

    def right(system: Running, _load: Load, _pace: Pace) -> dict[str, float]:
        order.append(system.name)
        return {"figure": float(len(order))}

    def wrong(_system: Running, _load: Load, _pace: Pace) -> dict[str, float]:
        raise Wrong("a token was lost")

    table = {"right": Scenario(right), "wrong": Scenario(wrong)}
    monkeypatch.setattr(scenarios, "QUICK", table)
    monkeypatch.setattr(session, "probe", lambda *_: Pace())
    plan = session.Plan(repeat=3, quick=True)

    starts = {"broken": broken, "fake": start}
    found = session.measure(plan, starts, Bench(Told().load, 0, tmp_path))

    assert found.figures == {"right": {"fake": {"figure": 2.0}}}
    assert found.repetitions == 3
    assert len(found.failures) == 6


def test_no_repetition_begins_that_would_end_too_late(tmp_path: Path) -> None:
    """Without any time there is none."""
    plan = session.Plan(repeat=3, quick=True, within_seconds=-1.0)

    assert session.measure(plan, {}, Bench(Told().load, 0, tmp_path)).repetitions == 0


def test_what_was_measured_before_an_interruption_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second of two scenarios: the first one's figures are there."""

    @contextmanager
    def start(_port: int, _folder: Path) -> Iterator[Running]:
        yield FAKE

    def stopped(_system: Running, _load: Load, _pace: Pace) -> dict[str, float]:
        raise KeyboardInterrupt

    table = {"first": Scenario(lambda *_: {"figure": 1.0}), "second": Scenario(stopped)}
    monkeypatch.setattr(scenarios, "QUICK", table)
    monkeypatch.setattr(session, "probe", lambda *_: Pace())

    found = session.measure(
        session.Plan(quick=True), {"fake": start}, Bench(Told().load, 0, tmp_path)
    )

    assert found.figures == {"first": {"fake": {"figure": 1.0}}}
    assert found.failures == ["the rest: interrupted"]
