"""Events: one encoding, made once."""

import typing
from typing import Any, cast

import orjson
import pytest

from llm_stream.errors import InvalidOutput
from llm_stream.events import OUTPUT_TYPES, TERMINAL_TYPES, Event, Payload
from llm_stream.resources import resource

KINDS = {
    typing.get_args(typing.get_type_hints(kind)["type"])[0] for kind in typing.get_args(Payload)
}


def test_the_bytes_begin_with_id_run_and_time() -> None:
    """Whatever the payload, an event reads id, run, t_ms, type, then its own fields."""
    event = Event(2, 7, "run_1", 412, {"type": "text.delta", "text": 'é"\n'})

    assert event.position == "2-7"
    assert event.data.startswith(b'{"id":"2-7","run":"run_1","t_ms":412,"type":"text.delta",')
    assert event.decode()["text"] == 'é"\n'
    assert b"\n" not in event.data


def test_terminal_and_output_kinds_exist() -> None:
    """The two sets name payload kinds and do not overlap."""
    assert TERMINAL_TYPES < KINDS
    assert OUTPUT_TYPES < KINDS
    assert not TERMINAL_TYPES & OUTPUT_TYPES


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_only_terminal_kinds_are_terminal(kind: Any) -> None:
    """`is_terminal` follows the set."""
    event = Event(1, 1, "run_1", 0, cast("Payload", {"type": kind}))

    assert event.is_terminal == (kind in TERMINAL_TYPES)


def test_what_json_cannot_say_is_invalid_output() -> None:
    """A lone surrogate is the model's doing and is told as such."""
    with pytest.raises(InvalidOutput) as caught:
        Event(1, 1, "run_1", 0, {"type": "text.delta", "text": "\ud800"})

    assert caught.value.run == "run_1"


def test_every_kind_is_documented() -> None:
    """docs/protocol.md names every kind of event."""
    text = resource("docs").joinpath("protocol.md").read_text()

    assert [kind for kind in sorted(KINDS) if f"`{kind}`" not in text] == []
    assert orjson.loads(b"{}") == {}
