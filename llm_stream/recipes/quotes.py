"""Quotes a model gives as evidence: found in the input, or dropped."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_SPACE: Final = re.compile(r"\s+")


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


def find_quote(quote: str, source: str, texts: Mapping[str, str]) -> Found | None:
    """Find a quote exactly, else with white space normalised, in its source or any other.

    Args:
        quote: the model's words; blank ones are never found.
        source: id of the text the model says it is from; looked at first.
        texts: {id: text} of everything the model was given.
    """
    if not quote.strip():
        return None
    order = [source, *texts] if source in texts else list(texts)
    for name in order:
        start = texts[name].find(quote)
        if start >= 0:
            return Found(name, quote, start, start + len(quote))
    pattern = re.compile(_SPACE.sub(r"\\s+", re.escape(quote.strip()).replace(r"\ ", " ")))
    for name in order:
        if match := pattern.search(texts[name]):
            return Found(name, match[0], match.start(), match.end())
    return None
