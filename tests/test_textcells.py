"""Text as a terminal shows it."""

import pytest

from llm_stream.cli.textcells import cells, fitted, harmless, one_line, padded, wrapped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("\x1b[2Jred\x07", "\ufffd[2Jred\ufffd"),
        ("two\r\nlines", "two\nlines"),
        ("right\u202eleft", "right\ufffdleft"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("non\u00e9", "non\u00e9"),
        ("1\u202f000\u00a0\u20ac\u3000", "1\u202f000\u00a0\u20ac\u3000"),
        ("\u200fright", "\u200fright"),
        ("\U0010fffd\U0001faff", "\ufffd\U0001faff"),
        ("tag\U000e0041", "tag\ufffd"),
    ],
)
def test_what_a_terminal_would_obey_is_replaced(text: str, shown: str) -> None:
    """Escapes and overriding directions are; breaks, spaces and emoji, also new ones, are not."""
    assert harmless(text) == shown


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("abc", 3),
        ("\u65e5\u672c", 4),
        ("e\u0301", 1),
        ("", 0),
        ("\u2708\ufe0f\u200b", 1),
        ("\u0e01\u0e34", 1),
    ],
)
def test_wide_characters_and_marks_are_counted(text: str, columns: int) -> None:
    """As terminals draw them: two columns, none."""
    assert cells(text) == columns
    assert padded(text, 6) == text + " " * (6 - columns)


def test_what_does_not_fit_is_cut() -> None:
    """With dots in the place of what was left out."""
    assert fitted("short", 5) == "short"
    assert fitted("a longer text", 8) == "a lon..."
    assert cells(fitted("\u65e5\u672c\u8a9e\u65e5\u672c", 8)) <= 8


def test_lines_are_no_wider_than_that() -> None:
    """Words stay whole, unless one alone is too wide; there is always a line."""
    text = "one two\n three fourfivesix \u65e5\u672c\u8a9e\u65e5"

    assert list(wrapped(text, 7)) == [
        "one two", "three", "fourfiv", "esix", "\u65e5\u672c\u8a9e", "\u65e5"
    ]  # fmt: skip
    assert list(wrapped("", 7)) == [""]
    assert list(wrapped("\u65e5\u672c a", -1)) == ["\u65e5", "\u672c", "a"]
    assert one_line(" a\n b\x00 ") == "a b\ufffd"
