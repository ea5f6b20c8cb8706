"""The one door: start or join, and no place lost when a gate refuses."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from llm_stream.cache.answers import AnswerCache
from llm_stream.cache.shelf import MemoryShelf
from llm_stream.engine.gate import Gate
from llm_stream.engine.registry import RunRegistry
from llm_stream.engine.runinfo import Outcome
from llm_stream.errors import TooManyRuns
from llm_stream.launcher import Launcher
from llm_stream.models.chunks import Message
from llm_stream.recipes.spec import CacheControl, RunSpec, TemplateRef


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
    registry = RunRegistry(retention_seconds=60, retention_bytes=10_000)
    cache = AnswerCache(MemoryShelf(max_entries=10, max_bytes=100_000), ttl_seconds=60)
    return Launcher(
        {"generate": Echo()}, registry, cache, gate, max_log_bytes=10_000,
        describe_error=lambda error, **_: {"code": error.code},
    )  # fmt: skip


def spec(prompt: Any = "hi", **changes: Any) -> Any:
    """A request."""
    return RunSpec(recipe="generate", model="m", messages=(Message("user", prompt),), **changes)


async def end(run: Any) -> Any:
    """Read a run to its end."""
    with run.subscribe() as reader:
        return [event.decode() async for batch in reader.batches() for event in batch]


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
