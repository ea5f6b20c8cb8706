"""Whose trace a run belongs to."""

import pytest

from llm_stream.tracing.context import Place, number_of, place_in

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_a_valid_header_names_a_place(header: str, sampled: bool) -> None:
    """Trace, span, and whether the trace is kept; a later version may say more."""
    assert place_in(header) == Place(int(TRACE, 16), int(SPAN, 16), sampled)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_not_valid_names_none(header: str | None) -> None:
    """A trace begins here then."""
    assert place_in(header) is None


def test_numbers_follow_from_the_run() -> None:
    """The same everywhere, of the right length, different for different runs."""
    assert number_of("run_1", 64) == number_of("run_1", 64)
    assert 0 < number_of("run_1", 64) < 1 << 64
    assert 0 < number_of("run_1", 128) < 1 << 128
    assert number_of("run_1", 64) != number_of("run_2", 64)
