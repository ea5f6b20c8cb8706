"""Whose trace a run belongs to: what the request says, as of the W3C's Trace Context."""

import hashlib
import re
from contextvars import ContextVar
from typing import Final, NamedTuple

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

caller: Final[ContextVar["Place | None"]] = ContextVar("caller", default=None)
"""Where the request that is being handled stands in its caller's trace. Tasks that are started
while it is handled know it as well."""


class Place(NamedTuple):
    """A span in a trace, by its numbers; `sampled` says whether the trace is kept."""

    trace: int
    span: int
    sampled: bool = True


def place_in(traceparent: str | None) -> Place | None:
    """What the header says; None where it is missing or not valid, so that a trace begins here."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace, 16) or not int(span, 16):
        return None
    return Place(int(trace, 16), int(span, 16), bool(int(flags, 16) & 1))


def number_of(run: str, bits: int) -> int:
    """The number of a run's trace (128 bits) or span (64), which anybody can tell from its id."""
    return int.from_bytes(hashlib.sha256(run.encode()).digest()[: bits // 8]) or 1
