"""Quotes are evidence only where they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_stream.recipes.quotes import Sources, find_quote

TEXTS = {"spec": "The shop\n  takes cards (and cash).", "notes": "It opens on 3 May. The shop"}


def test_an_exact_quote_has_its_place() -> None:
    """Start and end are code points of the source, end exclusive."""
    found = find_quote("opens on 3 May", "notes", TEXTS)

    assert found is not None
    assert TEXTS[found.source][found.start : found.end] == "opens on 3 May"
    assert found.as_evidence()["verified"] is True


def test_white_space_may_differ() -> None:
    """A quote that was wrapped otherwise is found, and shown as it stands."""
    found = find_quote("The shop takes cards (and cash).", "spec", TEXTS)

    assert found is not None
    assert found.quote == "The shop\n  takes cards (and cash)."


def test_a_wrong_source_is_corrected() -> None:
    """The quote decides where it is from, the named source is only looked at first."""
    found = find_quote("takes cards", "notes", TEXTS)

    assert found is not None
    assert found.source == "spec"
    named = find_quote("The shop", "notes", TEXTS)
    assert named is not None
    assert named.source == "notes"


@pytest.mark.parametrize(
    "quote", ["", "  ", "The shop takes bitcoin", "the shop takes cards", ".*"]
)
def test_what_does_not_stand_there_is_not_found(quote: str) -> None:
    """Blank, invented, differently cased or clever quotes are dropped."""
    assert find_quote(quote, "spec", TEXTS) is None


@pytest.mark.parametrize("space", ["\n", "\t", "\r\n", " \u00a0 "])
def test_any_white_space_is_as_good_as_another(space: str) -> None:
    """Line ends and tabs of a quote match spaces of the text, and the other way round."""
    assert find_quote(f"a{space}b", "s", {"s": "x a b"}) is not None
    assert find_quote("a b", "s", {"s": f"x a{space}b"}) is not None


def test_nothing_in_a_quote_is_a_pattern() -> None:
    """A line end of a quote does not stand for a backslash and letters in the text."""
    assert find_quote("a\nb", "s", {"s": "a\\sssb"}) is None


@given(st.text("ab \n\t"), st.text("ab \n\t"), st.text("ab \n\t"))
def test_a_place_is_one_of_the_original(before: str, quote: str, after: str) -> None:
    """However white space was changed, what stands at the place found says the same words."""
    text = f"{before}({quote.replace(' ', '  ')}){after}"
    found = find_quote(f"({quote})", "s", Sources({"s": text}))

    assert found is not None
    assert text[found.start : found.end] == found.quote
    assert found.quote.split() == f"({quote})".split()


def test_a_long_text_that_nearly_is_the_quote() -> None:
    """Near misses over and over are none; the one place where it stands is found there."""
    texts = Sources({"s": "a " * 500_000 + "b"})

    assert find_quote("a " * 149 + "c", "s", texts) is None
    found = find_quote("a\n" * 149 + "b", "s", texts)
    assert found is not None
    assert (found.start, found.end) == (1_000_000 - 298, 1_000_001)
