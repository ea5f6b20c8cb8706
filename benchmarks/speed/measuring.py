"""What a scenario does with a system: one job, the CPU it took, and whether all of it came."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.speed.load import Job, Load
from benchmarks.speed.processes import Running, got
from benchmarks.speed.systems import DIALECTS
from benchmarks.speed.upstream import WORD

PACED_PER_SECOND: Final = 20
SLOW_SECONDS: Final = 1e-4
"""A token that costs more than this: such a system is offered no more than it may bear."""

BEARABLE: Final = 0.5
"""Of a core, for paced streams."""


class Wrong(RuntimeError):
    """A system has not said what it should have said: nothing of it is timed."""


class Pace(NamedTuple):
    """How fast a system is, about, so that a slow one is asked less and not for minutes.

    Attributes:
        call_seconds: of a short call, alone.
        token_seconds: of each token of a stream, alone.
        longest_seconds: that one scenario may take.
    """

    call_seconds: float = 0.0
    token_seconds: float = 0.0
    longest_seconds: float = 10.0

    def fit(self, calls: int, tokens: int, least: int = 1) -> int:
        """How many of so many calls of so many tokens it has time for."""
        cost = self.call_seconds + tokens * self.token_seconds
        return calls if cost <= 0 else max(least, min(calls, int(self.longest_seconds / cost)))

    def bears(self, streams: int) -> int:
        """How many of so many paced streams it is offered."""
        if self.token_seconds < SLOW_SECONDS:
            return streams
        return max(1, min(streams, int(BEARABLE / PACED_PER_SECOND / self.token_seconds)))


class Bench(NamedTuple):
    """Where it is measured: the load, the upstream's port, a folder, how long all may take."""

    load: Load
    upstream: int
    folder: Path
    longest_seconds: float = 10.0


Figures = dict[str, Any]
Rows = dict[str, Figures]


class Scenario(NamedTuple):
    """A measurement of a system that runs.

    Attributes:
        run: what is done.
        more: settings of the service; with them, it is started for this alone.
        fresh: whether it is started for this alone in any case: its memory is looked at.
    """

    run: Callable[[Running, Load, Pace], Figures]
    more: str = ""
    fresh: bool = False


def named(system: Running) -> str:
    """The name of its dialect."""
    return next(name for name, dialect in DIALECTS.items() if dialect is system.dialect)


def measured(system: Running, load: Load, job: Job) -> Figures:
    """Do a job; its figures, with the CPU the system took for it until it had nothing more to do.

    `later_seconds` is what of that CPU came after the last answer: writing to the history, say.

    Raises:
        Wrong: an answer was lost.
    """
    system.settle()
    before = system.cpu_seconds()
    seen = load.do(job)
    during = system.cpu_seconds()
    system.settle()
    after = system.cpu_seconds()
    asked = job.connections * job.each * (job.streams if job.kind == "sockets" else 1)
    if seen["lost"] or seen["whole"] != asked:
        raise Wrong(f"{system.name}: {seen['whole']} of {asked} whole, {seen['lost']} lost")
    return seen | {"cpu_seconds": after - before, "later_seconds": after - during}


def per_token(system: Running, seen: Mapping[str, Any], tokens: int) -> Figures:
    """What each of so many tokens has cost.

    Raises:
        Wrong: there were more, or fewer.
    """
    if seen["tokens"] != tokens:
        raise Wrong(f"{system.name}: {seen['tokens']} of {tokens} tokens")
    return {
        "cpu_us_per_token": seen["cpu_seconds"] / tokens * 1e6,
        "later_us_per_token": seen["later_seconds"] / tokens * 1e6,
        "tokens_per_second": tokens / seen["seconds"],
    }


def text_of(streamed: bytes) -> str:
    """What the events of a stream say together, in the format of either door."""
    said = []
    for line in streamed.decode().splitlines():
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        event = json.loads(line[6:])
        if event.get("type") == "text.delta":
            said.append(event["text"])
        said += [choice["delta"].get("content") or "" for choice in event.get("choices", ())]
    return "".join(said)


def check(system: Running) -> None:
    """Before anything is timed: a plain answer and a streamed one are what they should be.

    Raises:
        Wrong: they are not.
    """
    dialect = system.dialect
    for stream in (False, True):
        body = dialect.body(f"check {stream}", "burst-16", stream)
        accept = "text/event-stream" if stream else "application/json"
        status, answer = got(system.port, dialect.path, body, Accept=accept)
        text = text_of(answer) if stream else plain_text(answer)
        if status != 200 or text != WORD * 16:
            raise Wrong(f"{system.name}: {status}, {answer[:300]!r}")


def plain_text(answer: bytes) -> str:
    """What an answer in one piece says."""
    said = json.loads(answer)
    if "choices" in said:
        return str(said["choices"][0]["message"]["content"])
    return str(said.get("text"))


def probe(system: Running, load: Load, longest_seconds: float) -> Pace:
    """How fast it is, after it has been asked a first time; by its CPU, whatever else runs.

    Raises:
        Wrong: it does not say what it should.
    """
    check(system)
    job = Job(system.port, named(system), "json", "burst-16", 1, 4)
    call = measured(system, load, job)["cpu_seconds"] / 4
    streams = job._replace(kind="streams", model="burst-200", each=2)
    streamed = measured(system, load, streams)["cpu_seconds"] / 2
    return Pace(call, max(0.0, streamed - call) / 200, longest_seconds)
