"""What JSON allows and this service does not: what readers understand differently, or choke on.

orjson has parsed the text already, and refuses NaN, numbers beyond a double, a byte order mark,
lone surrogates, raw control characters and invalid UTF-8.
"""

import json
import re
from typing import Any, Final

from llm_stream.errors import MalformedRequest

MAX_DEPTH: Final = 64
"""Deepest nesting of a request; what is deeper is an attack on recursion."""

MAX_VALUES: Final = 100_000
"""Most values of a request, of all its objects and lists together: looking at more would hold up
others."""

_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def check_strictly(text: bytes | str, value: dict[str, Any]) -> None:
    """Raise unless the object is of bounded shape and means the same to every reader.

    Args:
        text: what was parsed.
        value: what came of it.

    Raises:
        MalformedRequest: it is too deep, has too many values, a key twice in an object, or
            U+0000 in a text, at which programs in C stop reading (the caller's doing).
    """
    data = text.encode() if isinstance(text, str) else text
    keys = _count_keys(value)
    # A key that comes twice is one key less than there are colons; so is a colon in a text.
    if data.count(b":") != keys:
        json.loads(data, object_pairs_hook=_unique)
    if b"\\u0000" in data and _NUL.search(data):
        raise MalformedRequest("The JSON has the character U+0000 in a text. Leave it out.")


def _count_keys(value: dict[str, Any]) -> int:
    keys = values = 0
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inside: list[Any] = []
        for outer in level:
            values += len(outer)
            if values > MAX_VALUES:
                raise MalformedRequest(f"The JSON has more than {MAX_VALUES} values.")
            if isinstance(outer, dict):
                keys += len(outer)
                inside += outer.values()
            else:
                inside += outer
        level = [inner for inner in inside if isinstance(inner, (dict, list))]
        if not level:
            return keys
    raise MalformedRequest(f"The JSON is nested deeper than {MAX_DEPTH} levels.")


def _unique(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise MalformedRequest(f"The JSON has the key {key[:100]!a} twice in one object.")
        seen.add(key)
