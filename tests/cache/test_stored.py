"""Entries as bytes: what goes in comes out, and nothing else comes in."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_stream.cache.stored import Stored, StoredSerializer
from llm_stream.engine.recording import InvalidRecording

from .conftest import MakeEntry, recording


def test_an_entry_survives_its_bytes(make_entry: MakeEntry) -> None:
    """Encoded and decoded, an entry is equal to itself."""
    entry = make_entry("a", {"/all:": 3})

    assert Stored.decode(entry.encode()) == entry


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (0, {"format": 2}),
        (0, {"marks": None}),
        (0, {"marks": {"a": "x"}}),
        (2, {"format": 2}),
        (2, {"ending": {}}),
        (2, {"times": [1]}),
        (2, {"stranger": 1}),
    ],
)
def test_other_bytes_are_no_entry(make_entry: MakeEntry, part: int, change: Any) -> None:
    """A field that is missing, odd or unknown makes the whole entry invalid."""
    lines = make_entry("a").encode().split(b"\n")
    lines[part] = orjson.dumps(orjson.loads(lines[part]) | change)

    with pytest.raises(InvalidRecording):
        Stored.decode(b"\n".join(lines))


def test_a_text_that_was_changed_is_noticed(make_entry: MakeEntry) -> None:
    """The text has to have the hash that was recorded."""
    forged = Stored.decode(make_entry("a").encode()).encode()
    forged += b'\n{"type":"text.delta","text":"forged"}'
    forged = forged.replace(b'"times":[]', b'"times":[0]')

    with pytest.raises(InvalidRecording, match="not the one"):
        Stored.decode(forged)


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    """Whatever the backend gives back is an entry, a number or nothing."""
    value = StoredSerializer().loads(data)

    assert value is None or isinstance(value, int)


def test_the_serializer_knows_entries_and_numbers() -> None:
    """Both come back from the bytes that were kept of them."""
    entry = Stored(recording=recording(), request=b"{}", marks={}, fresh_seconds=1.0)
    serializer = StoredSerializer()

    assert serializer.loads(serializer.dumps(entry)) == entry  # type: ignore[arg-type]
    assert serializer.loads(b"12") == 12
    assert serializer.loads(None) is None
