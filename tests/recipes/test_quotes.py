"""Quotes are evidence only where they stand."""

import pytest

from llm_stream.recipes.quotes import find_quote

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
