"""The answer cache: a fault of its backend is a miss, said once a minute."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from llm_stream.cache.answers import WARN_SECONDS, AnswerCache
from llm_stream.cache.names import names_of
from llm_stream.cache.savings import Price, Savings
from llm_stream.cache.shelf import MemoryShelf
from llm_stream.cache.stored import Stored
from llm_stream.errors import CacheUnavailable
from llm_stream.models.chunks import Message
from llm_stream.recipes.spec import CacheControl, RunSpec, TemplateRef

from ..engine.conftest import Clock, MakeRun, say
from ..engine.test_run import finished
from .conftest import recording

SPEC = RunSpec(recipe="generate", model="m", messages=(Message("user", "x"),))


class Broken(MemoryShelf):
    """A shelf that cannot be reached."""

    async def read(self, key: str, names: Sequence[str]) -> tuple[Stored | None, dict[str, int]]:
        """Fail."""
        raise CacheUnavailable("gone")

    def write_at_hand(self, key: str, entry: Stored, seconds: float) -> Any:
        """It is elsewhere."""

    async def write(self, key: str, entry: Stored, seconds: float) -> bool:
        """Fail."""
        raise CacheUnavailable("gone")


async def test_a_fault_is_a_miss(make_run: MakeRun, caplog: pytest.LogCaptureFixture) -> None:
    """Reading and writing fail quietly: counted, and warned of once a minute."""
    clock = Clock()
    cache = AnswerCache(Broken(max_entries=1, max_bytes=1), ttl_seconds=1, clock=clock)
    run = make_run()
    run.start(say("x"))
    await finished(run)

    with caplog.at_level(logging.WARNING):
        assert await cache.find(SPEC, "k") == (None, False, None)
        cache.keep(SPEC, run, {})
        await cache.settled()
        clock.now += WARN_SECONDS + 1
        await cache.find(SPEC, "k")

    assert cache.counts["faults"] == 3
    assert len(caplog.records) == 2


async def test_an_answer_is_found_before_it_is_on_the_shelf(make_run: MakeRun) -> None:
    """From the end of its run on, whatever the backend does."""
    cache = AnswerCache(Broken(max_entries=1, max_bytes=1), ttl_seconds=1)
    run = make_run()
    run.start(say("x"))
    await finished(run)
    cache.keep(SPEC, run, {})

    found = await cache.find(SPEC, "k")

    assert found.entry is not None
    await cache.settled()
    assert (await cache.find(SPEC, "k")).entry is None


class Slow(MemoryShelf):
    """A shelf whose answers are on their way until what is being written has arrived."""

    async def read(self, key: str, names: Sequence[str]) -> tuple[Stored | None, dict[str, int]]:
        """Look, then take long."""
        found = await super().read(key, names)
        for _ in range(20):
            await asyncio.sleep(0)
        return found

    def write_at_hand(self, key: str, entry: Stored, seconds: float) -> Any:
        """It is elsewhere."""

    async def write(self, key: str, entry: Stored, seconds: float) -> bool:
        """Keep it."""
        return MemoryShelf.write_at_hand(self, key, entry, seconds)


async def test_an_answer_that_gets_to_the_shelf_meanwhile_is_found(make_run: MakeRun) -> None:
    """The shelf has said that it is not there, and it is no longer on its way."""
    cache = AnswerCache(Slow(max_entries=9, max_bytes=9_999), ttl_seconds=60)
    run = make_run()
    run.start(say("x"))
    await finished(run)
    cache.keep(SPEC, run, {})

    assert (await cache.find(SPEC, "k")).entry is not None


def test_names_are_the_owners_own() -> None:
    """An answer can be invalidated by all it has in common with others of its owner."""
    spec = RunSpec(
        recipe="generate",
        model="m",
        owner="ann",
        template=TemplateRef("t", "hash"),
        cache=CacheControl(tags=("x", "y", "x")),
    )

    assert names_of(spec) == [
        "ann/all:", "ann/recipe:generate", "ann/model:m", "ann/template:t", "ann/tag:x",
        "ann/tag:y",
    ]  # fmt: skip


def test_savings_are_counted_by_model() -> None:
    """Tokens always, money where there is a price, nothing where there was no usage."""
    savings = Savings({"m": Price(2.0, 10.0)})
    savings.add(recording())
    savings.add(recording(model="free"))
    unknown = recording().ending | {"usage": {"input_tokens": None, "output_tokens": None}}
    savings.add(recording(ending=unknown))

    assert savings.tokens["m", "input"] == savings.tokens["free", "input"] == 1
    assert savings.cost == {"m": pytest.approx((1 * 2 + 2 * 10) / 1e6)}
