"""Where a command writes: results on standard output as they come, progress on standard error.

Standard error is quiet unless it is a terminal. What a terminal would obey instead of showing it
is replaced there; a pipe gets the bytes that the model has written.
"""

import os
import shutil
import stat
import sys
import time
from contextlib import suppress
from typing import IO, Final

import click

from llm_stream.cli.configured import Refused
from llm_stream.cli.textcells import fitted, harmless, one_line

ERASE: Final = "\r\x1b[K"
"""To the line's beginning, and nothing on it."""


class Screen:
    """The two streams of one command.

    Args:
        quiet: say nothing on standard error but errors.
        verbose: say there what is told to terminals only, also to a file.

    Attributes:
        columns: how wide lines may be: the terminal's, 80 for a pipe.
        is_terminal: whether standard output is one.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.is_terminal = _is_terminal(sys.stdout)
        errors = _is_terminal(sys.stderr)
        self.verbose = verbose and not quiet
        self._says = (errors or verbose) and not quiet
        self._moves = errors and not quiet and os.environ.get("TERM") != "dumb"
        self._piped = _is_pipe(sys.stdout)
        self._colour = (
            self.is_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        )
        self.columns = max(_columns(), 40) if self.is_terminal else 80
        self._status = ""
        self._since = time.monotonic()
        self._drawn = ""  # the progress that stands on standard error
        self._open = False  # whether standard output stands in the middle of a line
        self._thinks = False  # whether standard error does

    def write(self, text: str) -> None:
        """Write to standard output at once.

        Raises:
            BrokenPipeError: whoever read it has left.
            Refused: it cannot be written for another reason.
        """
        if not text:
            return
        self._erase()
        shown = harmless(text) if self.is_terminal else text
        self._out(shown)
        self._open = not shown.endswith("\n")

    def line(self, text: str = "") -> None:
        """Write a whole line to standard output, below what is there."""
        self.end_line()
        self.write(f"{text}\n")

    def styled(self, text: str, **style: object) -> None:
        """Write a line of ours with colours where there are any; what is in it is harmless."""
        self.end_line()
        self._erase()
        shown = click.style(text, **style) if self._colour else text  # type: ignore[arg-type]
        self._out(f"{shown}\n")

    def raw(self, data: bytes) -> None:
        """Write bytes for a program: JSON, and a line break."""
        self._erase()
        # JSON escapes the most of what a terminal obeys, and not all of it.
        self._put((harmless(data.decode()).encode() if self.is_terminal else data) + b"\n")

    def end_line(self) -> None:
        """End the line of standard output that was begun, if one was."""
        if self._open:
            self.write("\n")

    def note(self, text: str) -> None:
        """Say something beside the result, to a terminal or where it was asked for."""
        if self._says:
            self.complain(text)

    def thought(self, piece: str) -> None:
        """Write a piece of what is said beside the result."""
        if not self._thinks:
            self._erase()
            if self._open and self.is_terminal:
                self.end_line()
        self._thinks = True
        self._say(harmless(piece))

    def complain(self, text: str) -> None:
        """Say something on standard error, whatever it is."""
        self._erase()
        if self._open and self.is_terminal:
            self.end_line()
        self._say(f"{harmless(text)}\n")

    def status(self, words: str) -> None:
        """Say what is going on, in one line that is rewritten."""
        self._status = words
        self.tick()

    def tick(self) -> None:
        """Draw that line anew with the time that has passed."""
        # The middle of a line of the result is no place for anything else.
        middle = self._thinks or (self._open and self.is_terminal)
        if middle or not self._moves or not self._status:
            return
        passed = time.monotonic() - self._since
        words = fitted(f"{one_line(self._status)}, {passed:.0f} s", max(_width(sys.stderr) - 1, 3))
        if words != self._drawn:
            self._say(f"{ERASE}{words}")
            self._drawn = words

    def _erase(self) -> None:
        if self._thinks:
            self._say("\n")
        if self._drawn:
            self._say(ERASE)
        self._drawn, self._thinks = "", False

    def _out(self, text: str) -> None:
        self._put(text.encode(getattr(sys.stdout, "encoding", None) or "utf-8", "replace"))

    def _put(self, data: bytes) -> None:
        if self._piped:
            self._moves = False  # whoever reads it, `less` say, has the terminal from now on
        try:
            click.echo(data, nl=False)
        except OSError as error:
            _let_go(sys.stdout)
            if isinstance(error, BrokenPipeError):
                raise
            raise Refused(f"standard output: {error.strerror}") from error

    def _say(self, text: str) -> None:
        try:
            click.echo(text, err=True, nl=False, color=True)
        except OSError as error:
            # A log that is full, say: no reason to lose the answer.
            _let_go(sys.stderr)
            if isinstance(error, BrokenPipeError):
                raise

    def close(self) -> None:
        """Leave the terminal as a shell expects it."""
        self._status = ""
        self._erase()


def _let_go(stream: IO[str]) -> None:
    """See that what is left in its buffer is not written when the process ends."""
    with suppress(OSError):  # it is no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_terminal(stream: IO[str] | None) -> bool:
    return stream is not None and stream.isatty()  # a shell's `>&-` has closed it


def _is_pipe(stream: IO[str] | None) -> bool:
    try:
        return stream is not None and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except OSError:  # it is no file at all
        return False


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _width(stream: IO[str]) -> int:
    """Columns of the very terminal that this is; standard output may be none, or another one."""
    with suppress(OSError):
        if columns := os.get_terminal_size(stream.fileno()).columns:
            return columns
    return _columns()
