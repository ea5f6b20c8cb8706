"""Events in memory: what is packed is read as what is not."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from llm_stream.engine.eventstore import (
    BLOCK,
    EVENT_OVERHEAD_BYTES,
    MAX_BLOCK_BYTES,
    MOST_BLOCKS,
    EventStore,
)
from llm_stream.events import Event, encoded

ALL = sys.maxsize


def event(seq: int, text: str = "word") -> Event:
    """One as a log has it."""
    return encoded(1, seq, "run_1", seq * 50, {"type": "text.delta", "text": text})


def filled(events: list[Event], *, packed_at: int = -1) -> EventStore:
    """A store with these events, packed when there were so many, and at the end."""
    store = EventStore()
    for number, each in enumerate(events):
        if number == packed_at:
            store.pack()
        store.recent.append(each)
    store.pack()
    return store


@given(
    count=st.integers(1, 4 * BLOCK + 1),
    sizes=st.lists(st.sampled_from([1, 10, 3000]), min_size=5, max_size=5),
    packed_at=st.integers(0, 4 * BLOCK),
    start=st.integers(0, 4 * BLOCK),
    length=st.integers(0, 4 * BLOCK),
    max_bytes=st.sampled_from([0, 100, 5000, MAX_BLOCK_BYTES, ALL]),
)
def test_events_are_the_same_packed(
    count: int, sizes: list[int], packed_at: int, start: int, length: int, max_bytes: int
) -> None:
    """Whatever is asked for, as much of it as has room, and one event at the least.

    Blocks of short events are packed, those of long ones are not.
    """
    events = [event(number + 1, f"{number}" * sizes[number // BLOCK]) for number in range(count)]
    expected: list[Event] = []
    for each in events[start : start + length]:
        if expected and sum(map(len, [*expected, each])) > max_bytes:
            break
        expected.append(each)

    store = filled(events, packed_at=packed_at)

    assert store.between(start, start + length, max_bytes=max_bytes) == expected


def test_whole_blocks_are_packed_and_the_newest_event_is_not() -> None:
    """Somebody always asks for that one."""
    store = filled([event(seq) for seq in range(1, 2 * BLOCK + 1)])
    assert (store.packed, len(store.recent)) == (BLOCK, BLOCK)

    store.recent.append(event(2 * BLOCK + 1))
    store.pack()

    assert (store.packed, len(store.recent)) == (2 * BLOCK, 1)


def test_packing_has_an_end() -> None:
    """So much in one go, however much there is: the loop has other things to do."""
    store = filled([event(seq) for seq in range(1, 3 * MOST_BLOCKS * BLOCK)])

    assert store.packed == MOST_BLOCKS * BLOCK


def test_packing_spares_most_of_what_events_take() -> None:
    """They repeat each other but for a word."""
    events = [event(seq, f" word {seq * seq}") for seq in range(1, 4 * BLOCK + 2)]
    store = filled(events)
    packed = events[: 4 * BLOCK]

    assert store.spared > 0.8 * (sum(map(len, packed)) + EVENT_OVERHEAD_BYTES * len(packed))


def test_what_would_take_long_to_unpack_stays_as_it_is() -> None:
    """A block of large events, of which a reader takes one at a time."""
    events = [event(seq, "x" * MAX_BLOCK_BYTES) for seq in range(1, BLOCK + 2)]
    store = filled(events)

    assert store.spared == 0
    assert store.between(3, 4, max_bytes=ALL)[0] is events[3]


def test_another_process_s_events_are_not_taken_apart_elsewhere() -> None:
    """One with a line break inside, as nobody here writes it, is still one event."""
    events = [event(seq) for seq in range(1, BLOCK + 2)]
    events[1] = Event(events[1].replace(b',"text"', b',\n"text"'))

    assert filled(events).between(0, BLOCK, max_bytes=ALL) == events[:BLOCK]
