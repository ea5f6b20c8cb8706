"""The shelf in memory: bounds, names, generations."""

import pytest

from llm_stream.cache.shelf import MemoryShelf, Shelf

from .conftest import MakeEntry


async def put(shelf: Shelf, make_entry: MakeEntry, key: str, *names: str) -> None:
    """Keep an entry under these names, as of now."""
    await shelf.write(key, make_entry(key, await shelf.marks(names)), 60)


async def test_what_is_written_is_read(shelf: Shelf, make_entry: MakeEntry) -> None:
    """An entry comes back under its key, and under no other."""
    await put(shelf, make_entry, "a", "/all:")

    found = await shelf.read("a", ())

    assert found is not None
    assert found.recording.key == "a"
    assert await shelf.read("b", ()) is None


async def test_the_least_recently_read_goes_first(shelf: Shelf, make_entry: MakeEntry) -> None:
    """With room for three, the fourth pushes out the one not used for longest."""
    for key in "abc":
        await put(shelf, make_entry, key, "/all:")
    await shelf.read("a", ())
    await put(shelf, make_entry, "d", "/all:")

    assert [key for key in "abcd" if await shelf.read(key, ())] == ["a", "c", "d"]
    assert shelf.volume().evictions == 1
    assert await shelf.count("/all:") == 3


async def test_bytes_are_bounded(make_entry: MakeEntry) -> None:
    """Entries make room for a new one; one that is larger than all the room is not kept."""
    small, large = make_entry("a").size, make_entry("c", request=b"x" * 100_000)
    shelf = MemoryShelf(max_entries=100, max_bytes=2 * small)
    for key in "ab":
        await put(shelf, make_entry, key)
    await shelf.write("c", large, 60)
    assert await shelf.read("c", ()) is None
    assert shelf.volume() == (2, 2 * small, 0)

    await put(shelf, make_entry, "d")

    assert shelf.volume() == (2, 2 * small, 1)


async def test_replacing_counts_once(shelf: Shelf, make_entry: MakeEntry) -> None:
    """A second entry of a key takes the place and the bytes of the first."""
    for _ in range(2):
        await put(shelf, make_entry, "a", "/tag:x")

    assert shelf.volume() == (1, (await shelf.page("/tag:x", limit=9))[0].size, 0)
    assert await shelf.count("/tag:x") == 1


async def test_bumping_a_name_voids_what_is_under_it(shelf: Shelf, make_entry: MakeEntry) -> None:
    """Entries under the name are gone and counted; others stay."""
    await put(shelf, make_entry, "a", "/all:", "/tag:x")
    await put(shelf, make_entry, "b", "/all:", "/tag:y")

    assert await shelf.bump("/tag:x") == 1

    assert await shelf.read("a", ()) is None
    assert await shelf.read("b", ()) is not None
    assert await shelf.bump("/tag:x") == 0


async def test_answers_under_way_are_void_as_well(shelf: Shelf, make_entry: MakeEntry) -> None:
    """What was asked for before the invalidation and kept after it is not given."""
    entry = make_entry("a", await shelf.marks(["/tag:x"]))
    await shelf.bump("/tag:x")
    await shelf.write("a", entry, 60)

    assert await shelf.read("a", ()) is None
    assert await shelf.count("/tag:x") == 0


async def test_pages_are_newest_first(shelf: Shelf, make_entry: MakeEntry) -> None:
    """A list begins with the latest, and looking keeps nothing alive."""
    for key in "abc":
        await put(shelf, make_entry, key, "/all:")

    assert [e.recording.key for e in await shelf.page("/all:", limit=2)] == ["c", "b"]
    assert [e.recording.key for e in await shelf.page("/all:", limit=2, skip=2)] == ["a"]
    await put(shelf, make_entry, "d", "/all:")
    assert await shelf.read("a", ()) is None


@pytest.mark.parametrize(("seconds", "found"), [(0.0, ["a"]), (50.0, ["a"]), (500.0, [])])
async def test_entries_are_found_by_age(
    shelf: Shelf, make_entry: MakeEntry, seconds: float, found: list[str]
) -> None:
    """`older` knows when an entry was stored."""
    entry = make_entry("a", await shelf.marks(["/all:"]))
    old = make_entry("a", entry.marks, stored_at=entry.stored_at - 100)
    await shelf.write("a", old, 60)

    assert await shelf.older("/all:", seconds, limit=10) == found
