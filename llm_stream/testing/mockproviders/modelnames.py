"""Faults and answers by model name: `mock-429-3`, `mock-cut-50-rst`, `mock-think-stall-10`.

A name is read from its word `mock` on, so `gpt-mock-cut-50` works as well; a name without that
word asks for a good answer. Some words take a number; times are in milliseconds.

====================  ==========================================================================
`429` (any 400-599)   this status; with a number, `429-3`: the first three requests, then well
`after-5`             beside a status: `Retry-After: 5`
`afterms-500`         `retry-after-ms: 500`
`afterdate-5`         `Retry-After` as a date in five seconds
`afterinfo-5`         the same in the body, as Google has it
`left-0`              the provider's headers say how many calls it will still take;
                      `reset-500`: and that this holds for half a second
`html`                a gateway's HTML page as the body
`cut-50`              the connection ends after byte 50 of the body; `cuthead-20`: of the headers
`rst`, `end`          the cut is a reset, or a clean end of HTTP's
`unframed`            the body ends with the connection: a cut looks like an end
`drop`                the connection ends before the first byte; with `rst`, by a reset
`silent`              no answer at all
`stall-10`            nothing more before chunk 10
`split-3`             three bytes at a time
`headers-500`         headers after half a second; `first-500`: the first chunk; `pace-20`: each
`jitter-50`           the pace varies by half, up and down; equal requests vary equally
`malformed-2`         chunk 2 is broken off
`error-2`             the provider tells of an error instead of chunk 2
`empty`               200 and no body
`plain`               the content type is text/plain
`nousage`             without usage; `nodone`: without `[DONE]`; `nofinish`: without finish reason
`crlf`, `comments`    SSE as it may be written as well
`times-2`             what stands before holds for two requests, then what follows
`words-200`           how many chunks of text; `long-1000000`: one chunk of so many bytes
`think`, `notool`     reasoning before the text; text even if tools are offered
`length`, `filter`    the finish reason
====================  ==========================================================================
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

from llm_stream.testing.mockproviders.answers import AnswerShape
from llm_stream.testing.mockproviders.faults import MockFault


class UnknownWord(ValueError):
    """A model name has a word that names no fault."""


@dataclass(frozen=True, slots=True)
class NamedBehaviour:
    """What a model name asks for: faults in the order they hold, and what is said."""

    faults: tuple[MockFault, ...] = ()
    shape: AnswerShape = field(default_factory=AnswerShape)


Change = Callable[[int], dict[str, Any]]

FLAGS: Final[dict[str, dict[str, Any]]] = {
    "html": {"html": True},
    "rst": {"how": "rst"},
    "end": {"how": "end"},
    "unframed": {"unframed": True},
    "drop": {"cut_head_at": 0},
    "silent": {"silent": True},
    "empty": {"empty": True},
    "plain": {"content_type": "text/plain"},
    "nousage": {"no_usage": True},
    "nodone": {"no_done": True},
    "nofinish": {"no_finish": True},
    "crlf": {"crlf": True},
    "comments": {"comments": True},
}
"""Words without a number -> what they change of a fault."""

NUMBERS: Final[dict[str, Change]] = {
    "after": lambda n: {"headers": {"retry-after": str(n)}},
    "afterms": lambda n: {"headers": {"retry-after-ms": str(n)}},
    "afterdate": lambda n: {"retry_date_seconds": float(n)},
    "afterinfo": lambda n: {"retry_info_seconds": float(n)},
    "left": lambda n: {"limit_left": n},
    "reset": lambda n: {"limit_reset_seconds": n / 1000},
    "cut": lambda n: {"cut_at": n},
    "cuthead": lambda n: {"cut_head_at": n},
    "stall": lambda n: {"stall_at": n},
    "split": lambda n: {"split": n},
    "headers": lambda n: {"header_seconds": n / 1000},
    "first": lambda n: {"first_seconds": n / 1000},
    "pace": lambda n: {"pace_seconds": n / 1000},
    "jitter": lambda n: {"jitter": min(n, 100) / 100},
    "malformed": lambda n: {"malformed_at": n},
    "error": lambda n: {"error_at": n},
    "times": lambda n: {"times": n},
}
"""Words with a number -> what they change of a fault."""

SHAPES: Final[dict[str, Change]] = {
    "words": lambda n: {"words": n},
    "long": lambda n: {"long": n},
    "think": lambda _: {"reasons": True},
    "notool": lambda _: {"calls_tools": False},
    "length": lambda _: {"finish": "length"},
    "filter": lambda _: {"finish": "filter"},
}
"""Words -> what they change of what is said."""

NUMBERED: Final = {*NUMBERS, "words", "long"}
"""Words that need a number."""

KNOWN: Final = {*FLAGS, *NUMBERS, *SHAPES}

OF_A_STATUS: Final = frozenset(
    {"after", "afterms", "afterdate", "afterinfo", "html", "left", "reset"}
)
"""Words that still belong to the `429-3` before them."""


def behaviour_of(name: str) -> NamedBehaviour:
    """What a model name asks for.

    Raises:
        UnknownWord: it has a word that means nothing, or a number is missing.
    """
    faults: list[MockFault] = []
    fault, shape = MockFault(), AnswerShape()
    for word, number in words_of(name):
        if fault.times is not None and word not in OF_A_STATUS:
            faults.append(fault)
            fault = MockFault()
        if word in SHAPES:
            shape = replace(shape, **SHAPES[word](number_of(word, number)))
        elif word.isdigit():
            fault = replace(fault, status=int(word), times=number)
        elif word in FLAGS:
            fault = replace(fault, **FLAGS[word])
        else:
            fault = replace(fault, **NUMBERS[word](number_of(word, number)))
    return NamedBehaviour((*faults, fault), shape)


def number_of(word: str, number: int | None) -> int:
    """The number after a word.

    Raises:
        UnknownWord: the word needs one.
    """
    if number is None and word in NUMBERED:
        raise UnknownWord(f"{word!r} needs a number")
    return number or 0


def words_of(name: str) -> Iterator[tuple[str, int | None]]:
    """The words after `mock`, each with the number that follows it.

    Raises:
        UnknownWord: one of them means nothing.
    """
    parts = re.split(r"[-_/:.]", name.lower())
    if "mock" not in parts:
        return
    takes_number = False
    for part, following in pairwise([*parts[parts.index("mock") + 1 :], ""]):
        if part.isdigit() and takes_number:
            takes_number = False
            continue
        is_status = bool(re.fullmatch(r"[45]\d\d", part))
        if not is_status and part not in KNOWN:
            raise UnknownWord(f"{part!r} in {name!r} names no fault")
        takes_number = is_status or part in NUMBERED
        yield part, int(following) if takes_number and following.isdigit() else None
