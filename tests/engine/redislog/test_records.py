"""What a reply of Redis says of a run."""

from llm_stream.engine.redislog.records import events_of
from llm_stream.events import kind_of, parts_of, position_of


def entry(position: bytes, told: bytes) -> tuple[bytes, list[bytes]]:
    """One of a stream, whose event says that it stands there."""
    data = b'{"id":"%b","run":"run_1","t_ms":7,"type":"text.delta","text":"x"}' % told
    return position, [b"t", b"text.delta", b"d", data]


def test_events_of_a_kind_share_its_name() -> None:
    """A log of many events keeps their bytes, and nothing else of each."""
    first, second = events_of([entry(b"1-1", b"1-1"), entry(b"1-2", b"1-2")])

    assert (kind_of(first), parts_of(first)[0]) == ("text.delta", 7)
    assert kind_of(first) is kind_of(second)


def test_what_is_no_event_of_its_place_is_none() -> None:
    """Entries that say otherwise, or hold no event, are left out."""
    late = b'{"id":"1-4","run":"run_1","t_ms":7,"arguments":{"a":1,"type":"run.failed"},"type":"x"}'
    none = b'{"id":"1-5","run":"run_1","t_ms":7}'
    reply = [
        entry(b"1-1", b"1-10"), (b"1-2", [b"x", b"y"]), entry(b"1-3", b"1-3"),
        (b"1-4", [b"t", b"x", b"d", late]), (b"1-5", [b"t", b"x", b"d", none]),
    ]  # fmt: skip

    assert [position_of(event) for event in events_of(reply)] == ["1-3"]
    assert events_of(None) == []
