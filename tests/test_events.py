"""Events: one encoding, made once."""

import typing
from typing import Any, cast

import orjson
import pytest

from llm_stream.errors import InvalidOutput
from llm_stream.events import Event, apart, decoded, encoded, is_terminal, kind_of, position_of
from llm_stream.payloads import OUTPUT_TYPES, TERMINAL_TYPES, Payload
from llm_stream.resources import resource

KINDS = {
    typing.get_args(typing.get_type_hints(kind)["type"])[0] for kind in typing.get_args(Payload)
}


def test_the_bytes_begin_with_id_run_and_time() -> None:
    """Whatever the payload, an event reads id, run, t_ms, type, then its own fields."""
    event = encoded(2, 7, "run_1", 412, {"type": "text.delta", "text": 'é"\n'})

    assert position_of(event) == "2-7"
    assert event.startswith(b'{"id":"2-7","run":"run_1","t_ms":412,"type":"text.delta",')
    assert decoded(event)["text"] == 'é"\n'
    assert event.count(b"\n") == 0


def test_the_type_is_read_out_of_the_bytes() -> None:
    """Wherever it stands in the payload, and whatever a model says behind it."""
    said = {"text": ',"type":"run.failed",', "type": "text.delta", "step": '"type":"usage"'}
    event = encoded(1, 1, "run_1", 0, cast("Payload", said))

    assert (kind_of(event), decoded(event)["text"]) == ("text.delta", said["text"])
    assert kind_of(Event(b'{"id":"1-1","run":"run_1","t_ms":0,"type":"of.later"}')) == "of.later"


def test_an_event_of_a_later_release_is_taken_apart() -> None:
    """Whose kind is not known here; the others are read beside it."""
    known = encoded(1, 1, "run_1", 5, {"type": "text.delta", "text": "x"})
    later = Event(b'{"id":"1-2","run":"run_1","t_ms":7,"type":"of.later","more":1}')

    assert apart([known, later]) == (
        ("text.delta", "of.later"), (5, 7),
        (b'"type":"text.delta","text":"x"}', b'"type":"of.later","more":1}'),
    )  # fmt: skip


def test_an_event_is_its_bytes_and_no_more() -> None:
    """Runs keep many: no object beside it, and nothing for the garbage collector to look at."""
    event = encoded(1, 1, "run_1", 0, {"type": "text.delta", "text": "Hello"})

    assert type(event) is bytes


def test_terminal_and_output_kinds_exist() -> None:
    """The two sets name payload kinds and do not overlap."""
    assert TERMINAL_TYPES < KINDS
    assert OUTPUT_TYPES < KINDS
    assert not TERMINAL_TYPES & OUTPUT_TYPES


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_only_terminal_kinds_are_terminal(kind: Any) -> None:
    """`is_terminal` follows the set."""
    event = encoded(1, 1, "run_1", 0, cast("Payload", {"type": kind}))

    assert is_terminal(event) == (kind in TERMINAL_TYPES)


def test_what_json_cannot_say_is_invalid_output() -> None:
    """A lone surrogate is the model's doing and is told as such."""
    with pytest.raises(InvalidOutput) as caught:
        encoded(1, 1, "run_1", 0, {"type": "text.delta", "text": "\ud800"})

    assert caught.value.run == "run_1"


def test_every_kind_is_documented() -> None:
    """docs/protocol.md names every kind of event."""
    text = resource("docs").joinpath("protocol.md").read_text()

    assert [kind for kind in sorted(KINDS) if f"`{kind}`" not in text] == []
    assert orjson.loads(b"{}") == {}
