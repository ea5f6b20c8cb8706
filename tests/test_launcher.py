"""The one door: start or join, and no place lost when a gate refuses."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from llm_stream.cache.answers import AnswerCache
from llm_stream.cache.shelf import MemoryShelf
from llm_stream.engine.gate import Gate, Pass
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.runinfo import Outcome
from llm_stream.errors import TooManyRuns
from llm_stream.events import decoded
from llm_stream.launcher import Launcher
from llm_stream.models.chunks import Message
from llm_stream.recipes.spec import CacheControl, RunSpec, TemplateRef

from .problem import only_its_code
from .wire import until


class Echo:
    """A recipe that says the prompt."""

    name = "generate"

    def identity(self, spec: Any) -> str:
        return ""

    async def run(self, spec: Any, ask: Any) -> AsyncGenerator[Any]:
        yield {"type": "text.delta", "text": spec.messages[-1].content}
        yield Outcome("stop")


@pytest.fixture
def gate() -> Any:
    """Room for two runs."""
    return Gate(1, 1, "the service")


@pytest.fixture
def launcher(gate: Any) -> Any:
    """A launcher with the echo recipe."""
    return launcher_with(gate, ttl_seconds=60)


def launcher_with(gate: Any, **kept: Any) -> Any:
    """A launcher with the echo recipe, and how long answers are kept."""
    registry = RunRegistry(retention_seconds=60, retention_bytes=10_000)
    cache = AnswerCache(MemoryShelf(max_entries=10, max_bytes=100_000), **kept)
    return Launcher(
        {"generate": Echo()}, registry, cache, gate, max_log_bytes=10_000,
        describe_error=only_its_code,
    )  # fmt: skip


def spec(prompt: Any = "hi", **changes: Any) -> Any:
    """A request."""
    return RunSpec(recipe="generate", model="m", messages=(Message("user", prompt),), **changes)


async def end(run: Any) -> Any:
    """Read a run to its end."""
    with run.subscribe() as reader:
        return [decoded(event) async for batch in reader.batches() for event in batch]


async def test_a_run_is_what_its_spec_says(launcher: Any) -> None:
    """Recipe, model, fingerprint, template and title come from the spec."""
    asked = spec("Plan a shop", template=TemplateRef("t", "h"), tags=("a",))
    run, joined = await launcher.launch(asked, request="req_1")
    started = (await end(run))[0]

    assert not joined
    assert started["key"] == asked.fingerprint()
    assert started["template"] == "t@h"
    assert (run.info.title, run.info.tags, run.info.request) == ("Plan a shop", ("a",), "req_1")
    assert run.id.startswith("run_")
    assert len(run.id) == 30


async def test_equal_specs_join_and_pass_no_gate(launcher: Any) -> None:
    """Joining takes no slot, so it works when all are taken."""
    first, _ = await launcher.launch(spec("a"))
    second, _ = await launcher.launch(spec("b"))
    with pytest.raises(TooManyRuns):
        await launcher.launch(spec("c"))

    again, joined = await launcher.launch(spec("a"))

    assert joined
    assert again is first
    await end(first)
    await end(second)


async def test_bypass_says_so(launcher: Any) -> None:
    """A run that must not be shared carries cache `bypass`."""
    run, _ = await launcher.launch(spec(cache=CacheControl(mode="bypass")))

    assert (await end(run))[0]["cache"] == "bypass"


async def test_a_refusal_at_the_second_gate_leaves_the_first(launcher: Any, gate: Any) -> None:
    """A place taken at the connection's gate is given back when the service's is full."""
    own = Gate(1, 0, "this connection")
    runs = [(await launcher.launch(spec(str(n)))).run for n in range(2)]
    with pytest.raises(TooManyRuns, match="the service"):
        await launcher.launch(spec("x"), (own,))

    own.admit()
    for run in runs:
        await end(run)


class SlowRoom:
    """So many places, which are given or refused when somebody says so."""

    def __init__(self, slots: int) -> None:
        self.gate = Gate(slots, 0, "your key")
        self.asked = 0
        self.answers = asyncio.Event()

    async def admit(self, party: str) -> Pass:
        """See `Room`."""
        self.asked += 1
        ticket = self.gate.admit(party)
        await self.answers.wait()
        return ticket


async def test_an_equal_call_waits_for_the_place_of_the_first(launcher: Any) -> None:
    """It joins, and so needs none; one that shares with nobody needs its own."""
    room = SlowRoom(1)
    calls = [asyncio.create_task(launcher.launch(spec(), (), room)) for _ in range(3)]
    await until(lambda: room.asked)
    with pytest.raises(TooManyRuns):
        await launcher.launch(spec(cache=CacheControl(mode="bypass")), (), room)
    room.answers.set()
    first, *others = [await call for call in calls]
    await end(first.run)

    assert [other.run for other in others] == [first.run] * 2
    assert all(other.joined for other in others)
    room.gate.admit()


async def test_a_call_that_begins_meanwhile_is_joined(launcher: Any) -> None:
    """One that needs no place, of a client without limits; the place is given back."""
    room = SlowRoom(1)
    asking = asyncio.create_task(launcher.launch(spec(), (), room))
    await until(lambda: room.asked)
    first, _ = await launcher.launch(spec())
    room.answers.set()
    launched = await asking
    await end(first)

    assert launched == (first, True)
    room.gate.admit()


async def test_who_stops_asking_keeps_no_equal_call_waiting(launcher: Any) -> None:
    """The next one asks for a place itself."""
    room = SlowRoom(2)
    calls = [asyncio.create_task(launcher.launch(spec(), (), room)) for _ in range(2)]
    await until(lambda: room.asked)
    calls[0].cancel()
    room.answers.set()
    run, joined = await calls[1]
    await end(run)

    assert not joined
    assert room.asked == 2


async def test_a_hit_needs_no_place(launcher: Any) -> None:
    """No model is called."""
    room = SlowRoom(1)
    room.answers.set()
    run, _ = await launcher.launch(spec(), (), room)
    await end(run)
    room.gate.admit()

    again, _ = await launcher.launch(spec(), (), room)

    assert again.info.cache == "hit"


async def test_a_run_that_does_not_begin_gives_its_place_back(launcher: Any) -> None:
    """Where the service has no slot for it."""
    runs = [(await launcher.launch(spec(str(n)))).run for n in range(2)]
    room = SlowRoom(1)
    room.answers.set()
    with pytest.raises(TooManyRuns, match="the service"):
        await launcher.launch(spec("x"), (), room)

    room.gate.admit()
    for run in runs:
        await end(run)


async def test_a_stale_answer_is_given_without_a_place_to_compute_it_anew(gate: Any) -> None:
    """It was asked for one."""
    launcher = launcher_with(gate, ttl_seconds=1e-9, stale_seconds=60)
    room = SlowRoom(1)
    room.answers.set()
    first, _ = await launcher.launch(spec(), (), room)
    await end(first)
    room.gate.admit()
    again, _ = await launcher.launch(spec(), (), room)

    assert again.info.cache == "hit"
    assert room.asked == 2


async def test_what_was_answered_before_the_turn_is_a_hit(launcher: Any) -> None:
    """A call that waits for its turn behind its look-up starts nothing that has ended meanwhile."""

    async def turn() -> bool:
        await end((await launcher.launch(spec())).run)
        return True

    run, joined = await launcher.launch(spec(), turn=turn)

    assert not joined
    assert (await end(run))[0]["cache"] == "hit"


async def test_a_turn_that_comes_at_once_starts(launcher: Any) -> None:
    """Nothing is looked up again for a call that had not to wait."""

    async def turn() -> bool:
        return False

    run, _ = await launcher.launch(spec(), turn=turn)

    assert (await end(run))[0]["cache"] == "miss"
