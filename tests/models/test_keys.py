import json
import stat
from pathlib import Path

import pytest

from llm_stream.models.faults import scrub
from llm_stream.models.keys import Keyring, keys_path, store_key


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one key."""
    path = tmp_path / "keys.json"
    path.write_text('{"// Note": 1, "openai": " stored-key-1 ", "empty": ""}')
    return path


def found(keyring: Keyring, *variables: str, name: str = "openai") -> tuple[str, str] | None:
    """Source and value of a key."""
    key = keyring.find(name, variables)
    return None if key is None else (key.source, key.value)


def test_the_environment_comes_before_the_store(store: Path) -> None:
    """The first variable that is set counts, then the store, then there is none."""
    keyring = Keyring({"A": "", "B": "key-of-b-1"}, store)

    assert found(keyring, "A", "B") == ("environment:B", "key-of-b-1")
    assert found(keyring, "A") == ("store:openai", "stored-key-1")
    assert found(keyring, name="empty") is None
    assert found(keyring, name="// Note") is None


def test_a_name_of_the_store_is_no_key(store: Path) -> None:
    """A variable that holds the name of a stored key is sent as it is, not as that secret."""
    assert found(Keyring({"A": "openai"}, store), "A") == ("environment:A", "openai")


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX-Evil: 1", "schlüssel", "\x7f", " \n"])
def test_what_cannot_stand_in_a_header_is_no_key(value: str) -> None:
    """No key smuggles in another header."""
    assert found(Keyring({"A": value}, None), "A") is None


def test_changes_are_noticed_after_a_second(store: Path) -> None:
    """A running service sees what is stored, and does not look more often than that."""
    clock = Clock()
    keyring = Keyring({}, store, clock)
    store.write_text('{"openai": "another-key-1"}')

    assert found(keyring) == ("store:openai", "stored-key-1")
    clock.now += 1
    assert found(keyring) == ("store:openai", "another-key-1")
    store.unlink()
    clock.now += 1
    assert found(keyring) is None


def test_a_broken_store_keeps_the_old_keys(store: Path) -> None:
    """Half a file takes no key away, and the fault is told without what is in it."""
    clock = Clock()
    keyring = Keyring({}, store, clock)
    store.write_text('{"openai": "canary')
    clock.now += 1

    assert found(keyring) == ("store:openai", "stored-key-1")
    assert keyring.fault == "keys.json: JSONDecodeError"


def test_a_key_that_is_refused_makes_room_for_the_next() -> None:
    """Keys are used in order, one at rest is passed over, and if all rest the first to wake."""
    clock = Clock()
    keyring = Keyring({"A": "key-a-1", "B": "key-b-1"}, None, clock)

    keyring.rest("key-a-1", 10)
    assert found(keyring, "A", "B") == ("environment:B", "key-b-1")
    keyring.rest("key-b-1", 5)
    clock.now += 1
    assert found(keyring, "A", "B") == ("environment:B", "key-b-1")
    clock.now += 10
    assert found(keyring, "A", "B") == ("environment:A", "key-a-1")


def test_a_known_key_is_taken_out_of_texts(store: Path) -> None:
    """Whatever it looks like, and wherever it came from; its repr does not show it either."""
    keyring = Keyring({"A": "correct horse"}, store)
    key = keyring.find("openai", ["A"])

    assert scrub("wrong: correct horse, stored-key-1") == "wrong: [redacted], [redacted]"
    assert "horse" not in repr(key)


def test_storing_keeps_other_keys_and_the_file_private(store: Path) -> None:
    """Only the owner reads it, from the first byte on."""
    store_key(store, "anthropic", "new-key-1\n")

    said = json.loads(store.read_text())
    assert (said["anthropic"], said["// Note"]) == ("new-key-1", 1)
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert [path.name for path in store.parent.iterdir()] == ["keys.json"]


def test_storing_nothing_is_refused(store: Path, tmp_path: Path) -> None:
    """An empty line is no key, and a file that is something else is left alone."""
    other = tmp_path / "list.json"
    other.write_text("[]")

    with pytest.raises(ValueError, match="printable"):
        store_key(store, "openai", "\n")
    with pytest.raises(ValueError, match="no JSON object"):
        store_key(other, "openai", "key-1")


def test_the_store_is_llms() -> None:
    """The file is the one that `llm keys set` writes."""
    assert keys_path().name == "keys.json"
