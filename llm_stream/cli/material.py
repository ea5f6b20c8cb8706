"""What a command is given besides words: files, `-` for standard input, JSON written or filed."""

import json
import re
import sys
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

import click

from llm_stream.cli.configured import Refused

STDIN: Final = "-"

FILE: Final = click.Path(exists=True, dir_okay=False, allow_dash=True)
"""A file that is there, or `-`."""

ID_CHARS: Final = 64


def token(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """An option's word that goes into a header: something on one line.

    Raises:
        click.BadParameter: it is none.
    """
    if value is not None and not (value.strip() and value.isprintable()):
        raise click.BadParameter("a word on one line is meant")
    return value


class Material:
    """Reads what the arguments of one command name; standard input once."""

    def __init__(self) -> None:
        self._taken = False

    def text(self, said: str) -> str:
        """Words as they are, `-` as what stands on standard input."""
        return self._stdin() if said == STDIN else said

    def file(self, path: str) -> str:
        """What stands in a file, or on standard input.

        Raises:
            Refused: it cannot be read, or is not UTF-8.
        """
        if path == STDIN:
            return self._stdin()
        return _utf8(path, self.data(path))

    def data(self, path: str) -> bytes:
        """The bytes of a file, or of standard input."""
        if path == STDIN:
            return self._bytes()
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}") from error

    def json(self, said: str, name: str) -> Any:
        """JSON that was written on the command line, stands in a file, or on standard input.

        Raises:
            click.BadParameter: it is neither JSON nor such a file.
        """
        inline = said.lstrip()[:1] in {"{", "["}
        if not inline and said != STDIN and not _is_file(said):
            raise click.BadParameter(f"{said}: neither JSON nor a file", param_hint=name)
        try:
            return decoded(said if inline else self.file(said))
        except ValueError as error:
            raise click.BadParameter(f"not JSON: {error}", param_hint=name) from error

    def documents(self, paths: Iterable[str]) -> list[dict[str, str]]:
        """Files as `{id, text}`, each with an id of its own, made of its name."""
        found: dict[str, str] = {}
        for path in paths:
            found[_new_id(path, found)] = self.file(path)
        return [{"id": name, "text": text} for name, text in found.items()]

    def context(self, paths: Iterable[str]) -> str:
        """Files one below the other; each under its name if there are several."""
        documents = self.documents(paths)
        if len(documents) == 1:
            return documents[0]["text"]
        return "\n\n".join(f"{each['id']}:\n{each['text']}" for each in documents)

    def lines(self, path: str, name: str) -> list[Any]:
        """A JSON array, or what stands on each line that is not empty."""
        text = self.file(path)
        if not text.lstrip().startswith("["):
            return [line.strip() for line in text.splitlines() if line.strip()]
        try:
            return list(decoded(text))
        except ValueError as error:
            raise click.BadParameter(f"{path}: not JSON: {error}", param_hint=name) from error

    def _stdin(self) -> str:
        return _utf8("standard input", self._bytes())

    def _bytes(self) -> bytes:
        if self._taken:
            raise click.UsageError("standard input (-) can be read once only")
        self._taken = True
        if sys.stdin is None:
            raise Refused("standard input: it is closed")
        return sys.stdin.buffer.read()


def decoded(text: str) -> Any:
    """What stands in a JSON text.

    Raises:
        ValueError: it is none, or deeper than can be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is too deep") from None


def _is_file(path: str) -> bool:
    try:
        return Path(path).exists() and not Path(path).is_dir()  # `<(jq ...)` is a pipe
    except OSError:  # longer than a name can be
        return False


def _utf8(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"{name}: not UTF-8 (byte {error.start})") from error


def _new_id(path: str, taken: Iterable[str]) -> str:
    name = "stdin" if path == STDIN else Path(path).name
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip("_.-")[: ID_CHARS - 4] or "document"
    names = chain([stem], (f"{stem}-{n}" for n in count(2)))
    return next(name for name in names if name not in taken)


def value_of(said: str) -> Any:
    """A value as JSON if it is that, `0.2` and `true` and `[1]`; else the words."""
    try:
        return json.loads(said, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return said


def _no_number(said: str) -> Any:
    raise ValueError(said)  # NaN and Infinity are no JSON, though Python takes them


def said_of(**fields: Any) -> dict[str, Any]:
    """Fields that say something: None, and what is empty, is left out."""
    return {
        name: value
        for name, value in fields.items()
        if value is not None and value not in ("", [], {})
    }
