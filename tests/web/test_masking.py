"""The guard against frames that are not masked."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_stream.web.masking import BROKEN, MaskedFrames

from ..frames import MASK, TEXT, frame


class Reader:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.got.append(data)
        return False, b""

    def feed_eof(self) -> None:
        self.ended = True


LENGTHS = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536])


def filled(length: int, *, mask: bytes = MASK, first: int = TEXT) -> bytes:
    """A frame with so many bytes of payload; they look like frames that are not masked."""
    return frame(first, b"\x01\x00" * (length // 2) + b"\x01"[: length % 2], mask=mask)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes as they may arrive."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(places)]


def passed(*sent: bytes) -> list[bytes]:
    """What a reader gets of what is sent."""
    reader = Reader()
    guard = MaskedFrames(reader)
    for piece in sent:
        assert guard.feed_data(piece) == (False, b"")
    guard.feed_eof()
    assert reader.ended
    return reader.got


@given(st.lists(LENGTHS, max_size=4), st.lists(st.integers(0, 500_000), max_size=12))
def test_masked_frames_pass_unchanged(lengths: Any, cuts: Any) -> None:
    """However they are cut, every byte comes out, in order."""
    data = b"".join(filled(length) for length in lengths)

    assert b"".join(passed(*pieces(data, cuts))) == data


@given(st.lists(LENGTHS, max_size=3), LENGTHS, st.lists(st.integers(0, 500_000), max_size=12))
def test_the_first_unmasked_frame_is_the_last(lengths: Any, bare: Any, cuts: Any) -> None:
    """What was before it is passed on, then a frame that is refused, then nothing."""
    before = b"".join(filled(length) for length in lengths)
    data = before + filled(bare, mask=b"") + filled(3)

    assert b"".join(passed(*pieces(data, cuts))) == before + BROKEN


def test_a_frame_of_any_declared_length_costs_nothing() -> None:
    """The guard counts; it does not keep."""
    head = b"\x82\xff" + (2**63 - 1).to_bytes(8, "big")

    content = [b"\x01\x00" * 500] * 100

    assert passed(head[:9], head[9:], *content) == [b"", head, *content]


@pytest.mark.parametrize("first", [0x81, 0x01, 0x00, 0x80, 0x82, 0x88, 0x89, 0x8A])
def test_every_kind_of_frame_has_to_be_masked(first: Any) -> None:
    """Text, binary, fragments and control frames alike."""
    assert passed(filled(2, mask=b"", first=first)) == [BROKEN]
