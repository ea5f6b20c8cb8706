"""Finished elements out of JSON that is still being written, in O(n).

yajl (through ijson) does the parsing; text around the JSON and code fences are left out.
Elements are not held against a schema here, and a syntax error is not judged here: whoever
has the whole answer does both (`whole_json`).
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import ijson  # type: ignore[import-untyped]
import orjson

from llm_stream.errors import InvalidOutput

_FENCED: Final = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL | re.IGNORECASE)


class ElementStream:
    """The elements of one array of an answer, each as soon as it is complete.

    Args:
        path: where the array stands in the top-level object, `tasks` say.
    """

    __slots__ = ("_begun", "_found", "_held", "_hold", "_open", "_parser")

    def __init__(self, path: str) -> None:
        self._found: Any = ijson.sendable_list()
        self._parser: Any = ijson.items_coro(self._found, f"{path}.item", use_float=True)
        self._held: list[str] = []
        self._hold = self._held.append
        self._begun = False
        self._open = False

    def feed(self, text: str) -> Sequence[Any]:
        """Take the next piece of text, of any length; the elements it has completed."""
        if not self._open:
            text = self._begin(text)
        self._hold(text)
        # Only a closing brace completes an object, so smaller pieces are parsed together.
        if "}" in text and self._open:
            return self._parse()
        return ()

    def _begin(self, text: str) -> str:
        """The text from where the JSON begins; nothing before it, nor after its end."""
        begin = -1 if self._begun else text.find("{")
        if begin < 0:
            return ""
        self._begun = self._open = True
        return text[begin:]

    def _parse(self) -> list[Any]:
        data = "".join(self._held).encode("utf-8", "replace")
        self._held.clear()
        try:
            self._parser.send(data)
        except ijson.JSONError:
            # Text behind the JSON, or a fault that the whole answer will show.
            self._open = False
        done = list(self._found)
        del self._found[:]
        return done


def whole_json(text: str) -> Any:
    """The JSON value of a finished answer: bare, in a code fence, or with text around it.

    Raises:
        InvalidOutput: there is none, or it is not strict JSON (`NaN`, say); the model's doing.
    """
    fenced = _FENCED.search(text)
    for candidate in (text, fenced[1] if fenced else ""):
        try:
            return orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
    begins = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    if not begins:
        raise InvalidOutput("The answer has no JSON in it.")
    try:
        value, _ = _STRICT.raw_decode(text, min(begins))
    except (ValueError, RecursionError) as error:
        raise InvalidOutput(f"The answer is not JSON: {error}.") from error
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_STRICT: Final = json.JSONDecoder(parse_constant=_refuse)
