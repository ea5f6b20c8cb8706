"""Client keys: their form, and what is kept of them."""

import pytest

from llm_stream.access.clientkey import KEY, client_of, is_key, new_key


def test_a_key_is_found_by_its_id_and_known_by_its_hash() -> None:
    """The text is nowhere in what is kept."""
    key, other = new_key(), new_key()

    assert client_of(key.text) == key.id != other.id
    assert is_key(key.text, key.hash)
    assert not is_key(other.text, key.hash)
    assert not is_key(key.text, None)
    assert key.text not in key.hash
    assert KEY.search(f"Authorization: Bearer {key.text}, and more")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text.replace("lls_", "sk-_"),
        lambda text: text[:20] + ("A" if text[20] != "A" else "B") + text[21:],
        lambda text: text.upper(),
        lambda _: "",
        lambda text: text + "\n",
    ],
)
def test_a_key_that_was_copied_badly_is_none(spoil: object) -> None:
    """The checksum tells it before anything is looked up."""
    assert callable(spoil)

    assert client_of(spoil(new_key().text)) is None
