"""Who has which key, as their file changes."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llm_stream.access.clientfile import ClientRecord, editing, now
from llm_stream.access.clientkey import ClientKey, new_key
from llm_stream.access.roster import Roster
from llm_stream.errors import Unauthenticated


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where clients stand."""
    return tmp_path / "clients.toml"


def add(path: Path, **fields: object) -> ClientKey:
    """One more client; its key."""
    key = new_key()
    said = {"name": "x", "hash": key.hash, "created_at": now(), **fields}
    with editing(path) as clients:
        clients[key.id] = ClientRecord.model_validate(said)
    return key


def spoil(path: Path) -> bytes:
    """Make the file one that cannot be read; what was in it."""
    good = path.read_bytes()
    path.write_text("[clients")
    return good


def mend(path: Path, good: bytes) -> None:
    """Put back what was in it."""
    path.write_bytes(good)


def lose(path: Path) -> None:
    """Let there be no file."""
    path.unlink()


def change(path: Path, client_id: str, **fields: object) -> None:
    """Change what the file says of a client."""
    with editing(path) as clients:
        clients[client_id] = clients[client_id].model_copy(update=fields)


async def test_a_key_finds_its_client(path: Path) -> None:
    """A key of the same id that is another one does not."""
    key, stranger = add(path), new_key()
    roster = Roster(path)
    roster.load()

    assert roster.of_key(key.text).id == roster.of_client(key.id).id == key.id
    for text in (stranger.text, key.text[:-1], ""):
        with pytest.raises(Unauthenticated):
            roster.of_key(text)
    with pytest.raises(Unauthenticated):
        roster.of_client(stranger.id)


async def test_keys_are_asked_for_from_the_first_client_on(path: Path) -> None:
    """And for ever: a file that is lost opens nothing."""
    roster, gone = Roster(path), list[str]()
    roster.on_gone = gone.append
    roster.load()
    before = roster.asks_for_keys
    key = add(path)
    await roster.look()
    after = roster.asks_for_keys
    lose(path)
    await roster.look()

    assert (before, after, roster.asks_for_keys) == (False, True, True)
    assert gone == ["", key.id]  # whoever was there without a key; then who has lost it
    with pytest.raises(Unauthenticated):
        roster.of_key(key.text)
    with pytest.raises(Unauthenticated):
        roster.of_client("")


@pytest.mark.parametrize("required", [True, False])
async def test_the_operator_decides(path: Path, required: bool) -> None:
    """Whether keys are asked for, clients or not."""
    roster = Roster(path, required=required)
    roster.load()
    add(path)
    await roster.look()

    assert roster.asks_for_keys is required


@pytest.mark.parametrize(
    "fields",
    [
        {"revoked_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"scopes": ("run:read",)},
        {"hash": "0" * 64},
    ],
    ids=["revoked", "fewer scopes", "another key"],
)
async def test_who_may_do_less_is_told_of(path: Path, fields: dict[str, object]) -> None:
    """At the next look, once; nothing is told of others, or of one who may do more."""
    key, other = add(path), add(path)
    roster, gone = Roster(path, required=True), list[str]()
    roster.on_gone = gone.append
    roster.load()
    change(path, other.id, scopes=("admin", *roster.of_client(other.id).scopes))
    change(path, key.id, **fields)
    await roster.look()
    await roster.look()

    assert gone == [key.id]


async def test_a_key_expires(path: Path) -> None:
    """By the clock, though the file has not changed."""
    moment = now()
    key = add(path, expires_at=moment + timedelta(seconds=5))
    times, gone = [moment], list[str]()
    roster = Roster(path, required=True, clock=lambda: times[-1])
    roster.on_gone = gone.append
    roster.load()
    roster.of_key(key.text)
    times.append(moment + timedelta(seconds=5))
    await roster.look()

    assert gone == [key.id]
    with pytest.raises(Unauthenticated):
        roster.of_key(key.text)


async def test_a_file_that_cannot_be_read_changes_nothing(path: Path) -> None:
    """Those who had a key have it; a file that is mended is read again."""
    key = add(path)
    roster = Roster(path)
    roster.load()
    good = spoil(path)
    await roster.look()
    roster.of_key(key.text)
    mend(path, good)
    change(path, key.id, revoked_at=now())
    await roster.look()

    with pytest.raises(Unauthenticated):
        roster.of_key(key.text)


async def test_a_file_that_could_not_be_opened_is_read_the_next_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it has not changed since: no descriptor was free, say."""
    key = add(path)
    roster = Roster(path)
    roster.load()
    change(path, key.id, revoked_at=now())

    def fail(_path: Path) -> None:
        raise OSError("no descriptor")

    with monkeypatch.context() as patch:
        patch.setattr("llm_stream.access.roster.read_clients", fail)
        await roster.look()
    roster.of_key(key.text)
    await roster.look()

    with pytest.raises(Unauthenticated):
        roster.of_key(key.text)


async def test_it_looks_by_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its start to its end."""
    monkeypatch.setattr("llm_stream.access.roster.LOOK_SECONDS", 0.001)
    key, gone = add(path), asyncio.Event()
    roster = Roster(path)
    roster.on_gone = lambda _client: gone.set()
    roster.load()
    roster.start()
    change(path, key.id, revoked_at=now())
    await gone.wait()
    await roster.close()


async def test_whatever_fails_it_looks_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a key that is revoked later would hold for ever."""
    monkeypatch.setattr("llm_stream.access.roster.LOOK_SECONDS", 0.001)
    key, gone = add(path), asyncio.Event()
    roster = Roster(path, required=True)
    roster.load()
    calls = list[str]()

    def tell(client: str) -> None:
        calls.append(client)
        if len(calls) == 1:
            raise RuntimeError("can't start new thread")
        gone.set()

    roster.on_gone = tell
    other = add(path)
    await roster.look()
    change(path, key.id, revoked_at=now())
    roster.start()
    while not calls:
        await asyncio.sleep(0)
    change(path, other.id, revoked_at=now())
    await gone.wait()
    await roster.close()
