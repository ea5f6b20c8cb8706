from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_stream.eventstream import LineTooLong, SseParser

STREAM = (
    'data: {"a":"é"}\n\n: a comment\nevent: x\ndata:two\ndata: lines\n\n'
    "id: 7\r\n\r\ndata: end\r\n\r\n"
)
EVENTS = ['{"a":"é"}'.encode(), b"two\nlines", b"end"]


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=6))
def test_events_do_not_depend_on_the_blocks(cuts: list[int]) -> None:
    """Cut anywhere, in lines, characters or line ends, the events are the same."""
    body = STREAM.encode()
    edges = [0, *sorted(cuts), len(body)]
    parser = SseParser()

    found = [e for a, b in pairwise(edges) for e in parser.feed(body[a:b])]

    assert found == EVENTS


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=6))
def test_events_do_not_depend_on_line_ends(cuts: list[int]) -> None:
    """The same with LF only, where blocks of plain events are read in a shorter way."""
    body = f"data: first\n\ndata: second\n\n{STREAM}".replace("\r", "").encode()
    edges = [0, *sorted(cuts), len(body)]
    parser = SseParser()

    found = [e for a, b in pairwise(edges) for e in parser.feed(body[a:b])]

    assert found == [b"first", b"second", *EVENTS]


def test_an_event_without_its_blank_line_is_none() -> None:
    """What was cut before the end of an event is not given out."""
    assert SseParser().feed(b"data: x\n") == []


@pytest.mark.parametrize(
    "block",
    [b"data: " + b"x" * 95, b"x" * 101, b"data: 0123456789\n" * 11, b"data: %b\n\n" % (b"x" * 101)],
)
def test_lines_and_events_are_bounded(block: bytes) -> None:
    """A line that does not end, or an event of endless lines, is refused."""
    parser = SseParser(max_line_bytes=100)

    with pytest.raises(LineTooLong):
        parser.feed(block)


def test_the_bound_holds_over_blocks() -> None:
    """A line is as long as all its pieces."""
    parser = SseParser(max_line_bytes=100)
    parser.feed(b"data: " + b"x" * 60)

    with pytest.raises(LineTooLong):
        parser.feed(b"x" * 60)
