"""What the cache makes of its second level, and what it tells it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from llm_stream.cache.answers import AnswerCache
from llm_stream.cache.shelf import MemoryShelf
from llm_stream.cache.stored import Stored
from llm_stream.engine.recording import Recording

from ..cache.conftest import aged
from .conftest import MARKS, ended


class SharedShelf(MemoryShelf):
    """A shelf whose generations outlive the process, as those in Redis do."""

    shared = True


class Archive:
    """A second level in a dict; `during` is awaited while it looks something up."""

    def __init__(self) -> None:
        self.entries: dict[str, Stored] = {}
        self.forgotten: list[tuple[Sequence[str], str | None, float]] = []
        self.asked = 0
        self.during: Any = None

    async def find(self, key: str) -> Stored | None:
        self.asked += 1
        entry = self.entries.get(key)
        if self.during is not None:
            await self.during()
        return entry

    async def forget(
        self, keys: Sequence[str] = (), *, name: str | None = None, older_than_seconds: float = 0
    ) -> int:
        self.forgotten.append((keys, name, older_than_seconds))
        return sum(self.entries.pop(key, None) is not None for key in list(self.entries))


@pytest.fixture
def archive() -> Archive:
    """An empty second level."""
    return Archive()


def cache_with(archive: Archive, shelf: MemoryShelf | None = None, **options: Any) -> AnswerCache:
    """An empty cache with that second level."""
    shelf = shelf or MemoryShelf(max_entries=10, max_bytes=1 << 20)
    return AnswerCache(shelf, ttl_seconds=60, second=archive, **options)


async def archived(archive: Archive, **changes: Any) -> tuple[Any, str]:
    """A spec and its key, whose answer the second level has."""
    spec, run = await ended()
    entry = Stored(recording=Recording.of(run), request=b"{}", marks=MARKS, fresh_seconds=60.0)
    archive.entries[run.info.key] = replace(entry, **changes)
    return spec, run.info.key


async def test_an_answer_goes_back_on_the_shelf(archive: Archive) -> None:
    """It is asked for once; then the shelf has it, for the time that is left."""
    spec, key = await archived(archive, marks={"/all:": 41, "/tag:x": 7})
    cache = cache_with(archive)
    first, second = await cache.find(spec, key), await cache.find(spec, key)
    await cache.settled()
    third = await cache.find(spec, key)

    assert first.entry is not None
    assert second.entry is not None
    assert third.entry is not None
    assert first.entry.recording is second.entry.recording is third.entry.recording
    assert first.entry.marks.items() >= {"/all:": 0, "/tag:x": 0}.items()
    assert archive.asked == 1
    assert (cache.counts["restored"], cache.counts["hits"], cache.counts["misses"]) == (1, 3, 0)
    assert await cache.invalidate("/tag:x") == 1
    assert (await cache.find(spec, key)).entry is None
    await cache.close()


async def test_what_is_too_old_is_a_miss(archive: Archive) -> None:
    """Fresh for 60 s, then stale where the cache allows it, then nothing."""
    spec, key = await archived(archive)
    archive.entries[key] = aged(archive.entries[key], 90)
    strict, lenient = cache_with(archive), cache_with(archive, stale_seconds=60)
    hour = cache_with(archive, stale_seconds=20)

    assert (await strict.find(spec, key)).entry is None
    found = await lenient.find(spec, key)
    assert (found.entry is not None, found.stale) == (True, True)
    assert (await hour.find(spec, key)).entry is None
    for cache in (strict, lenient, hour):
        await cache.close()


async def test_a_shared_shelf_knows_what_is_void(archive: Archive) -> None:
    """Where generations outlive the process an answer of an earlier one is not given."""
    spec, key = await archived(archive)
    shelf = SharedShelf(max_entries=10, max_bytes=1 << 20)
    cache = cache_with(archive, shelf)
    entry = (await cache.find(spec, key)).entry
    await cache.settled()
    await shelf.bump("/model:m")

    assert entry is not None
    assert (await cache.find(spec, key)).entry is None
    await cache.close()


async def test_what_is_dropped_meanwhile_does_not_come_back(archive: Archive) -> None:
    """A drop between the look-up and its answer wins."""
    spec, key = await archived(archive)
    cache = cache_with(archive)

    async def drop() -> None:
        archive.during = None
        await cache.drop([key])

    archive.during = drop

    assert (await cache.find(spec, key)).entry is None
    assert (await cache.find(spec, key)).entry is None
    await cache.close()


async def test_what_is_answered_meanwhile_is_found(archive: Archive) -> None:
    """Of two equal requests at once only one calls a model, however long the look-up takes."""
    cache = cache_with(archive)
    spec, run = await ended()

    async def keep() -> None:
        cache.keep(spec, run, MARKS)
        await cache.settled()

    archive.during = keep
    entry = (await cache.find(spec, run.info.key)).entry

    assert entry is not None
    assert entry.recording.run == run.id
    await cache.close()


async def test_whatever_is_dropped_is_forgotten(archive: Archive) -> None:
    """Keys, names and ages are passed on, before they leave the shelf."""
    cache = cache_with(archive)
    await cache.drop(["k"])
    await cache.invalidate("/all:")
    await cache.invalidate("/all:", older_than_seconds=5)

    assert archive.forgotten == [(["k"], None, 0), ((), "/all:", 0), ((), "/all:", 5)]
    await cache.close()


async def test_refresh_and_bypass_do_not_ask(archive: Archive) -> None:
    """Only a miss of a request that may use the cache goes to the second level."""
    spec, key = await archived(archive)
    cache = cache_with(archive)
    for mode in ("refresh", "bypass"):
        await cache.find(replace(spec, cache=replace(spec.cache, mode=mode)), key)

    assert archive.asked == 0
    await cache.close()
