"""Quotes a model gives as evidence: found in the input, or dropped."""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_LONG_SPACE: Final = re.compile(r"\s{2,}")


@dataclass(frozen=True, slots=True)
class Found:
    """Where a quote stands: code points from the beginning of the source, end exclusive."""

    source: str
    quote: str
    start: int
    end: int

    def as_evidence(self) -> dict[str, Any]:
        """The quote as the verdict shows it; what was not found is never shown."""
        return {
            "source": self.source,
            "quote": self.quote,
            "start": self.start,
            "end": self.end,
            "verified": True,
        }


class Flat:
    """A text with each run of white space as one space, and the way back to the original.

    The way back is kept a run that shrank, not a character, so that it stays small.
    """

    def __init__(self, text: str) -> None:
        self._text = " ".join(text.split())
        gone = len(text) - len(text.lstrip())
        self._places = [0]
        self._gone = [gone]
        for run in _LONG_SPACE.finditer(text, gone):
            gone += run.end() - run.start() - 1
            self._places.append(run.end() - gone)
            self._gone.append(gone)

    def find(self, words: str) -> tuple[int, int] | None:
        """Start and end in the original of words that are flat themselves."""
        start = self._text.find(words)
        if start < 0:
            return None
        return self._original(start), self._original(start + len(words) - 1) + 1

    def _original(self, place: int) -> int:
        return place + self._gone[bisect_right(self._places, place) - 1]


class Sources(dict[str, str]):
    """{id: text} of everything a model was given; each text is made flat once, when needed."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__(texts)
        self._flat: dict[str, Flat] = {}

    def flat(self, name: str) -> Flat:
        """The text of that id for a search in which white space does not matter."""
        if name not in self._flat:
            self._flat[name] = Flat(self[name])
        return self._flat[name]


def find_quote(quote: str, source: str, texts: Mapping[str, str]) -> Found | None:
    """Find a quote exactly, else with white space normalised, in its source or any other.

    Args:
        quote: the model's words; blank ones are never found.
        source: id of the text the model says it is from; looked at first.
        texts: {id: text} of everything the model was given. Give `Sources` to look for
            several quotes.
    """
    if not quote.strip():
        return None
    order = sorted(texts, key=lambda name: name != source)
    for name in order:
        start = texts[name].find(quote)
        if start >= 0:
            return Found(name, quote, start, start + len(quote))
    searched = texts if isinstance(texts, Sources) else Sources(texts)
    words = " ".join(quote.split())
    for name in order:
        if place := searched.flat(name).find(words):
            start, end = place
            return Found(name, texts[name][start:end], start, end)
    return None
