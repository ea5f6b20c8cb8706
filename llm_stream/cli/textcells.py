"""Text as a terminal shows it: how wide, without what it would obey, cut and wrapped to fit."""

import unicodedata
from collections.abc import Iterator
from typing import Final

KEPT: Final = "\n\t\u200b\u200c\u200d\u200e\u200f"
"""Control characters that do no harm: those of width 0 part words, join letters and emoji, and say
which way the text beside them runs."""

HARMLESS: Final = frozenset({"Zs", "Cn"})
"""What Python calls unprintable as well: spaces of other widths, and emoji it has not heard of."""

WIDTHLESS: Final = frozenset({"Mn", "Me", "Cf"})
"""Marks on the character before, and what joins or parts characters."""

LOST: Final = {"\r": ""}
"""Of a line break of two characters one is enough."""


def harmless(text: str) -> str:
    """The text with all that a terminal would obey replaced; carriage returns are left out."""
    if text.isprintable():
        return text
    return "".join(c if _is_harmless(c) else LOST.get(c, "\ufffd") for c in text)


def _is_harmless(char: str) -> bool:
    return char.isprintable() or char in KEPT or unicodedata.category(char) in HARMLESS


def one_line(text: str) -> str:
    """The same, on one line."""
    return " ".join(harmless(text).split())


def cells(text: str) -> int:
    """How many columns a terminal needs for it; wide characters need two, marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(c) in WIDTHLESS
        else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )  # fmt: skip


def fitted(text: str, columns: int) -> str:
    """The text, its end left out where it is wider than that."""
    if cells(text) <= columns:
        return text
    cut = text
    while cells(cut) > columns - 3:
        cut = cut[:-1]
    return f"{cut.rstrip()}..."


def padded(text: str, columns: int) -> str:
    """The text and spaces behind it."""
    return text + " " * (columns - cells(text))


def wrapped(text: str, columns: int) -> Iterator[str]:
    """Lines that are no wider than that; words are cut only if they are. At least one line.

    A line has a character at least, however narrow it may be.
    """
    line = ""
    for word in one_line(text).split(" "):
        while cells(word) > columns and len(word) > 1:
            if line:
                yield line
                line = ""
            head = word
            while cells(head) > columns and len(head) > 1:
                head = head[:-1]
            yield head
            word = word[len(head) :]  # noqa: PLW2901 - what is left of it
        if line and cells(line) + 1 + cells(word) > columns:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line
