"""Who still wants a run."""

import asyncio

import pytest

from llm_stream.engine.interest import Interest
from llm_stream.engine.runinfo import Client


async def after_timers() -> None:
    """Return when every timer that was due has fired."""
    fired = asyncio.Event()
    asyncio.get_running_loop().call_later(0.002, fired.set)
    await fired.wait()


def interest(patience: float | None = None) -> tuple[Interest, list[int]]:
    """Ann's interest, and how often it was given up."""
    given_up: list[int] = []
    return Interest(Client("ann", patience), lambda: given_up.append(1)), given_up


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [(0.0, 30.0, 30.0), (30.0, 0.0, 30.0), (0.0, None, None), (None, 0.0, None)],
)
def test_the_most_patient_client_decides(
    first: float | None, second: float | None, both: float | None
) -> None:
    """A run that is joined lives as long without readers as its most patient client wants."""
    wanted, _ = interest(first)
    wanted.join(Client("bob", second))

    assert wanted.patience_seconds == both
    assert set(wanted.claims) == {"ann", "bob"}


def test_a_claim_is_released_once() -> None:
    """Asking twice takes nobody else's claim."""
    wanted, _ = interest()
    wanted.join(Client("bob"))

    assert not wanted.release("ann")
    assert not wanted.release("ann")
    assert set(wanted.claims) == {"bob"}
    assert wanted.release("bob")


def test_a_stranger_speaks_for_one_but_not_for_several() -> None:
    """Without a claim one can end a run that a single client wants, and only that."""
    wanted, _ = interest()
    wanted.join(Client("bob"))
    assert not wanted.release(None)
    assert not wanted.release("eve")
    wanted.release("bob")

    assert wanted.release(None)


async def test_a_joiner_takes_a_looming_end_back() -> None:
    """Joining between the last reader's leaving and the end counts with its own patience."""
    wanted, given_up = interest(0.0)
    wanted.reader_came()
    wanted.reader_left()
    wanted.join(Client("bob"))
    await after_timers()

    assert given_up == []


async def test_nobody_reading_gives_the_run_up() -> None:
    """After its patience a run without readers is given up once; an ended one never."""
    wanted, given_up = interest(0.0)
    for _ in range(2):
        wanted.reader_came()
        wanted.reader_left()
    while not given_up:
        await asyncio.sleep(0)
    over, kept = interest(0.0)
    over.reader_came()
    over.close()
    over.reader_left()
    await after_timers()

    assert given_up == [1]
    assert kept == []


async def test_patience_can_begin_without_a_reader() -> None:
    """A run whose readers have to come back is given up when none does."""
    wanted, given_up = interest(0.0)
    wanted.expect()
    while not given_up:
        await asyncio.sleep(0)
    read, kept = interest(0.0)
    read.reader_came()
    read.expect()
    await after_timers()

    assert kept == []


async def test_readers_count_where_they_are_handed_on() -> None:
    """Together they are one reader of the other run, until the last of them has left."""
    wanted, given_up = interest(0.0)
    before, _ = interest(None)
    before.reader_came()
    before.reader_came()
    before.hand_on(wanted)
    before.reader_left()
    assert wanted.readers == 1
    before.reader_left()
    while not given_up:
        await asyncio.sleep(0)

    assert wanted.readers == 0


async def test_where_nobody_reads_nobody_is_handed_on() -> None:
    """Without readers the other run gets none."""
    wanted, _ = interest(0.0)
    before, _ = interest(None)
    before.hand_on(wanted)
    before.reader_came()
    before.reader_left()

    assert wanted.readers == 0


def test_who_left_a_run_to_its_end_is_not_spoken_for() -> None:
    """Gone with the wish that it goes on: a joined client's release does not end it."""
    wanted, _ = interest(None)
    wanted.join(Client("bob", 0.0))
    wanted.forget("ann")

    assert not wanted.release("bob")
    assert wanted.release(None)


def test_who_just_left_is_forgotten() -> None:
    """Gone without such a wish: the last one's release ends it."""
    wanted, _ = interest(0.0)
    wanted.join(Client("bob", 0.0))
    wanted.forget("ann")

    assert wanted.release("bob")


def test_who_was_forgotten_and_speaks_is_heard() -> None:
    """Its release is its own: another's claim stays, and without another it ends the run."""
    wanted, _ = interest(0.0)
    wanted.join(Client("bob", None))
    wanted.forget("bob")
    assert not wanted.release("bob")
    assert wanted.claims.keys() == {"ann"}

    alone, _ = interest(None)
    alone.forget("ann")
    assert alone.release("ann")


def test_who_is_recalled_decides_again() -> None:
    """Once forgotten and back it has its claim; who has released it has not."""
    wanted, _ = interest(None)
    wanted.join(Client("bob"))
    wanted.forget("bob")
    wanted.recall("bob")
    wanted.release("ann")
    wanted.recall("ann")

    assert wanted.claims.keys() == {"bob"}


def test_who_joins_again_can_release_again() -> None:
    """A claim that was released and taken anew counts like a first one."""
    wanted, _ = interest()
    wanted.join(Client("bob"))
    wanted.release("bob")
    wanted.join(Client("bob"))
    assert not wanted.release("bob")

    assert wanted.release("ann")
