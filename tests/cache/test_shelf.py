"""Shelves, in memory and in Redis: bounds, names, generations."""

import pytest

from llm_stream.cache.shelf import MemoryShelf, Shelf
from llm_stream.cache.stored import Stored

from .conftest import MakeEntry, aged, recording


async def marks(shelf: Shelf, *names: str) -> dict[str, int]:
    """The generations of these names."""
    return (await shelf.read("", names))[1]


async def read(shelf: Shelf, key: str) -> Stored | None:
    """The valid entry of this key."""
    return (await shelf.read(key, ()))[0]


async def put(shelf: Shelf, make_entry: MakeEntry, key: str, *names: str) -> None:
    """Keep an entry under these names, as of now."""
    await shelf.write(key, make_entry(key, await marks(shelf, *names)), 60)


async def test_what_is_written_is_read(shelf: Shelf, make_entry: MakeEntry) -> None:
    """An entry comes back under its key, and under no other."""
    await put(shelf, make_entry, "a", "/all:")

    found = await read(shelf, "a")

    assert found is not None
    assert found.recording.key == "a"
    assert await read(shelf, "b") is None


async def test_the_least_recently_read_goes_first(
    memory: MemoryShelf, make_entry: MakeEntry
) -> None:
    """With room for three, the fourth pushes out the one not used for longest."""
    for key in "abc":
        await put(memory, make_entry, key, "/all:")
    await read(memory, "a")
    await put(memory, make_entry, "d", "/all:")

    assert [key for key in "abcd" if await read(memory, key)] == ["a", "c", "d"]
    assert memory.volume().evictions == 1
    assert await memory.count("/all:") == 3


async def test_bytes_are_bounded(make_entry: MakeEntry) -> None:
    """Entries make room for a new one; one that is larger than all the room is not kept."""
    small, large = make_entry("a").size, make_entry("c", request=b"x" * 100_000)
    shelf = MemoryShelf(max_entries=100, max_bytes=2 * small)
    for key in "ab":
        await put(shelf, make_entry, key)
    await shelf.write("c", large, 60)
    assert await read(shelf, "c") is None
    assert shelf.volume() == (2, 2 * small, 0)

    await put(shelf, make_entry, "d")

    assert shelf.volume() == (2, 2 * small, 1)


async def test_replacing_counts_once(shelf: Shelf, make_entry: MakeEntry) -> None:
    """A second entry of a key takes the place of the first."""
    for _ in range(2):
        await put(shelf, make_entry, "a", "/tag:x")

    assert await shelf.count("/tag:x") == 1
    assert len(await shelf.page("/tag:x", limit=9)) == 1


async def test_bumping_a_name_voids_what_is_under_it(shelf: Shelf, make_entry: MakeEntry) -> None:
    """Entries under the name are gone and counted; others stay."""
    await put(shelf, make_entry, "a", "/all:", "/tag:x")
    await put(shelf, make_entry, "b", "/all:", "/tag:y")

    assert await shelf.bump("/tag:x") == 1

    assert await read(shelf, "a") is None
    assert await read(shelf, "b") is not None
    assert await shelf.bump("/tag:x") == 0


async def test_answers_under_way_are_void_as_well(shelf: Shelf, make_entry: MakeEntry) -> None:
    """What was asked for before the invalidation and kept after it is not given."""
    entry = make_entry("a", await marks(shelf, "/tag:x"))
    await shelf.bump("/tag:x")
    await shelf.write("a", entry, 60)

    assert await read(shelf, "a") is None
    assert await shelf.count("/tag:x") == 0


async def test_pages_are_newest_first(shelf: Shelf, make_entry: MakeEntry) -> None:
    """A list begins with the latest."""
    for number, key in enumerate("abc"):
        entry = make_entry(key, await marks(shelf, "/all:"), stored_at=1e9 + number)
        await shelf.write(key, entry, 60)

    assert [about["key"] for about in await shelf.page("/all:", limit=2)] == ["c", "b"]
    assert [about["key"] for about in await shelf.page("/all:", limit=2, skip=2)] == ["a"]


async def test_looking_keeps_nothing_alive(memory: MemoryShelf, make_entry: MakeEntry) -> None:
    """A page of entries is no use of them: the oldest still goes first."""
    for key in "abc":
        await put(memory, make_entry, key, "/all:")
    await memory.page("/all:", limit=9)
    await put(memory, make_entry, "d", "/all:")

    assert await read(memory, "a") is None


async def test_dropped_entries_are_off_every_list(shelf: Shelf, make_entry: MakeEntry) -> None:
    """Dropping counts what was there, and takes it from all of its names."""
    for key in "ab":
        await put(shelf, make_entry, key, "/all:", "/tag:x")

    assert await shelf.drop(["a", "c"]) == 1

    assert await read(shelf, "a") is None
    assert (await shelf.count("/all:"), await shelf.count("/tag:x")) == (1, 1)


@pytest.mark.parametrize(("seconds", "found"), [(0.0, ["a"]), (50.0, ["a"]), (500.0, [])])
async def test_entries_are_found_by_age(
    shelf: Shelf, make_entry: MakeEntry, seconds: float, found: list[str]
) -> None:
    """`older` knows when an entry was stored."""
    entry = make_entry("a", await marks(shelf, "/all:"))
    old = aged(entry, 100)
    await shelf.write("a", old, 60)

    assert await shelf.older("/all:", seconds, limit=10) == found


async def test_who_began_earlier_replaces_nothing(shelf: Shelf, make_entry: MakeEntry) -> None:
    """An answer of a run that began before the one that is kept comes too late."""
    newer = make_entry("a", recording=recording("a", run="run_2"))
    older = make_entry("a", recording=recording("a", run="run_1"))

    assert await shelf.write("a", newer, 60)
    assert not await shelf.write("a", older, 60)

    found = await read(shelf, "a")
    assert found is not None
    assert found.recording.run == "run_2"


async def test_odd_names_and_lives_are_kept(shelf: Shelf, make_entry: MakeEntry) -> None:
    """Any text is a name; a life shorter than a millisecond, or of a year, is none too odd."""
    name = '/tag:"*?[x]\\ \n\u20ac'
    await put(shelf, make_entry, "a", name)
    await shelf.write("b", make_entry("b"), 1e-9)
    await shelf.write("c", make_entry("c"), 31_536_000)

    assert [about["key"] for about in await shelf.page(name, limit=9)] == ["a"]
    assert await shelf.bump(name) == 1
    assert await read(shelf, "c") is not None
