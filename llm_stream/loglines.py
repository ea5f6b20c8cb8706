"""Finished lines of the log on their way out: gathered for a turn of the event loop."""

import asyncio
import logging
import sys
from collections import deque
from contextlib import suppress
from typing import ClassVar, TextIO

from llm_stream.models.faults import redact


class Lines:
    """A logger that writes finished lines; what structlog makes of an event ends here.

    Not in the standard library's handlers: a line for each request, made there, costs more than
    the answer from the cache that it tells of.

    Args:
        logger: the standard library's of the same name, which says what is logged.

    What one turn of the event loop has to tell is written at once, at its end: a write costs more
    than all the rest of a line. Warnings, and what is told where no loop runs, wait for nothing.
    Who ends the process without the interpreter's help calls `write` first.

    Attributes:
        stream: where all of them write to.
    """

    stream: ClassVar[TextIO] = sys.stderr
    _waiting: ClassVar[deque[str]] = deque()
    _writes: ClassVar[asyncio.AbstractEventLoop | None] = None

    def __init__(self, logger: logging.Logger) -> None:
        self.name = logger.name
        # As `filter_by_level` asks for them.
        self.disabled = False
        self.getEffectiveLevel = logger.getEffectiveLevel

    def _later(self, line: str) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._now(line)
            return
        self._waiting.append(line)
        if Lines._writes is not loop:
            # A loop that ends before its turn does leaves its lines to the next, or to the exit.
            Lines._writes = loop
            loop.call_soon(self.write)

    def _now(self, line: str) -> None:
        self._waiting.append(line)
        self.write()

    @classmethod
    def write(cls) -> None:
        """Write what waits, whichever thread it is from."""
        Lines._writes = None
        lines = []
        with suppress(IndexError):
            while True:
                lines.append(cls._waiting.popleft())
        if not lines:
            return
        lines.append("")
        text = "\n".join(lines)
        if redact(text) != text:  # one look for all; only where there is something one for each
            text = "\n".join(map(redact, lines))
        # A log that nobody takes any more must not be the end of what it tells of.
        with suppress(OSError, ValueError):
            cls.stream.write(text)
            cls.stream.flush()

    debug = info = msg = log = _later
    warning = warn = error = exception = critical = _now


class InOrder(logging.StreamHandler[TextIO]):
    """The standard library's lines, after those that were told before them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write what waits, then the record."""
        Lines.write()
        super().emit(record)
