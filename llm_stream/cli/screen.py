"""Where a command writes: results on standard output as they come, progress on standard error.

Standard error is quiet unless it is a terminal. What a terminal would obey instead of showing it
is replaced there; a pipe gets the bytes that the model has written.
"""

import os
import shutil
import stat
import sys
import time
from typing import IO, Final

import click

from llm_stream.cli.textcells import fitted, harmless

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
        """
        if not text:
            return
        self._erase()
        shown = harmless(text) if self.is_terminal else text
        self._out(shown.encode(sys.stdout.encoding or "utf-8", "replace"))
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
        self._out(f"{shown}\n".encode(sys.stdout.encoding or "utf-8", "replace"))

    def raw(self, data: bytes) -> None:
        """Write bytes for a program: JSON, and a line break."""
        self._erase()
        # JSON escapes the most of what a terminal obeys, and not all of it.
        self._out((harmless(data.decode()).encode() if self.is_terminal else data) + b"\n")

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
        click.echo(harmless(piece), err=True, nl=False)

    def complain(self, text: str) -> None:
        """Say something on standard error, whatever it is."""
        self._erase()
        if self._open and self.is_terminal:
            self.end_line()
        click.echo(harmless(text), err=True)

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
        words = fitted(f"{harmless(self._status)}, {passed:.0f} s", max(_columns(), 40) - 1)
        if words != self._drawn:
            click.echo(f"{ERASE}{words}", err=True, nl=False, color=True)
            self._drawn = words

    def _erase(self) -> None:
        if self._thinks:
            click.echo(err=True)
        if self._drawn:
            click.echo(ERASE, err=True, nl=False, color=True)
        self._drawn, self._thinks = "", False

    def _out(self, data: bytes) -> None:
        if self._piped:
            self._moves = False  # whoever reads it, `less` say, has the terminal from now on
        click.echo(data, nl=False)

    def close(self) -> None:
        """Leave the terminal as a shell expects it."""
        self._status = ""
        self._erase()


def _is_terminal(stream: IO[str]) -> bool:
    return stream.isatty()


def _is_pipe(stream: IO[str]) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except OSError:  # it is no file at all
        return False


def _columns() -> int:
    return shutil.get_terminal_size().columns
