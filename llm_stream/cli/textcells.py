"""Text as a terminal shows it: how wide, without what it would obey, cut and wrapped to fit."""

import unicodedata
from collections.abc import Iterator
from typing import Final

KEPT: Final = "\n\t\u200c\u200d"
"""Control characters that do no harm; the last two join letters and emoji."""

LOST: Final = {"\r": ""}
"""Of a line break of two characters one is enough."""


def harmless(text: str) -> str:
    """The text with all that a terminal would obey replaced; carriage returns are left out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in KEPT else LOST.get(c, "\ufffd") for c in text)


def one_line(text: str) -> str:
    """The same, on one line."""
    return " ".join(harmless(text).split())


def cells(text: str) -> int:
    """How many columns a terminal needs for it; wide characters need two, marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


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
    """Lines that are no wider than that; words are cut only if they are. At least one line."""
    line = ""
    for word in one_line(text).split(" "):
        while cells(word) > columns:
            if line:
                yield line
                line = ""
            head = word
            while cells(head) > columns:
                head = head[:-1]
            yield head
            word = word[len(head) :]  # noqa: PLW2901 - what is left of it
        if line and cells(line) + 1 + cells(word) > columns:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line
