"""Finished elements out of JSON that is still being written, in O(n).

yajl (through ijson) does the parsing; text around the JSON and code fences are left out.
Elements are not held against a schema here, and a syntax error is not judged here: whoever
has the whole answer does both (`whole_json`).
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn

import ijson  # type: ignore[import-untyped]
import orjson

from llm_stream.errors import InvalidOutput

WRAPPING: Final = 16
"""Levels that the events of a run and of the recipes around it put around its result."""

_FENCED: Final = re.compile(r"```(?:json)?[^\S\n]*\n(.*?)```", re.DOTALL | re.IGNORECASE)


class ElementStream:
    """The elements of one array of an answer, each as soon as it is complete.

    Args:
        path: where the array stands in the top-level object, `tasks` say.
    """

    __slots__ = ("_begun", "_found", "_held", "_over", "_parser")

    def __init__(self, path: str) -> None:
        self._found: Any = ijson.sendable_list()
        self._parser: Any = ijson.items_coro(self._found, f"{path}.item", use_float=True)
        self._held: list[str] = []
        self._begun = False
        self._over = False

    def feed(self, text: str) -> Sequence[Any]:
        """Take the next piece of text, of any length; the elements it has completed."""
        self._held.append(text)
        # Only a closing brace completes an object, so smaller pieces are parsed together.
        return self._parse() if "}" in text else ()

    def _parse(self) -> Sequence[Any]:
        text = "".join(self._held)
        self._held.clear()
        if not self._begun:
            begin = text.find("{")
            if begin < 0:
                return ()
            self._begun = True
            text = text[begin:]
        if self._over:
            return ()
        try:
            self._parser.send(text.encode("utf-8", "replace"))
        except ijson.JSONError:
            # Text behind the JSON, or a fault that the whole answer will show.
            self._over = True
        if not self._found:
            return ()
        done = list(self._found)
        del self._found[:]
        return done


def whole_json(text: str) -> Any:
    """The JSON value of a finished answer: bare, in a code fence, or with text around it.

    Raises:
        InvalidOutput: there is none, or it is not strict JSON (`NaN`, say); the model's doing.
    """
    try:
        return _sendable(orjson.loads(text))
    except orjson.JSONDecodeError:
        if fenced := _FENCED.search(text):
            with suppress(orjson.JSONDecodeError):
                return _sendable(orjson.loads(fenced[1]))
    begins = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    if not begins:
        raise InvalidOutput("The answer has no JSON in it.")
    try:
        begin = min(begins)
        _, end = _EXTENT.raw_decode(text, begin)
        return _sendable(orjson.loads(text[begin:end]))
    except (ValueError, RecursionError) as error:
        raise InvalidOutput(f"The answer is not JSON: {error}.") from error


def _sendable(value: Any) -> Any:
    wrapped = value
    for _ in range(WRAPPING):
        wrapped = [wrapped]
    try:
        orjson.dumps(wrapped)
    except orjson.JSONEncodeError as error:
        raise InvalidOutput(f"The answer cannot be passed on: {error}.") from error
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_EXTENT: Final = json.JSONDecoder(parse_constant=_refuse)
"""Finds where the JSON in a text ends; orjson, which is stricter, says what it is."""
