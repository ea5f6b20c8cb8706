"""Server-Sent Events out of blocks of bytes, as they come from a socket.

Follows the event stream format of the HTML standard, except that a lone CR ends no line and that
only `data` matters: every provider repeats an event's name inside its JSON.
"""

from typing import Final

MAX_LINE_BYTES: Final = 1_048_576
"""A longer line is no event of any provider, but something that would fill the memory."""


class LineTooLong(ValueError):
    """A line or an event is over its limit; the stream cannot be trusted any further."""


class SseParser:
    """Takes blocks, gives the data of the events they complete.

    Bytes stay bytes: a character that two blocks share is whole again before it is decoded. An
    event without its closing blank line is never given out, as the standard asks.

    Args:
        max_line_bytes: longest line, and longest data of one event.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, block: bytes) -> list[bytes]:
        """The data of each event that ends in this block; several data lines joined by LF.

        Raises:
            LineTooLong: more than `max_line_bytes` without an end (the sender's doing).
        """
        plain = block.startswith(b"data: ") and block.endswith(b"\n\n") and b"\r" not in block
        if not plain or self._held or self._data:
            return self._feed(block)
        if block.find(b"\n") == len(block) - 2 <= self._max_line_bytes:
            return [block[6:-2]]  # one event of one line: what comes of a model that is slow
        found: list[bytes] = []
        for event in block[:-2].split(b"\n\n"):
            # One line of data, as nearly all are in such a block.
            if event.startswith(b"data: ") and b"\n" not in event:
                if len(event) > self._max_line_bytes:
                    raise LineTooLong
                found.append(event[6:])
            else:
                found += self._feed(event + b"\n\n")
        return found

    def _feed(self, block: bytes) -> list[bytes]:
        lines = block.split(b"\n")
        if self._held and len(lines) > 1:
            self._held.append(lines[0])
            lines[0] = b"".join(self._held)
            self._held.clear()
            self._held_bytes = 0
        rest = lines.pop()
        if rest:
            # Kept in pieces: joining them for every block would be quadratic in a long line.
            self._held.append(rest)
            self._held_bytes += len(rest)
            if self._held_bytes > self._max_line_bytes:
                raise LineTooLong
        found: list[bytes] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data:"):
                self._keep(line)
            elif line in {b"", b"\r"} and data:
                found.append(data[0] if len(data) == 1 else b"\n".join(data))
                data.clear()
                self._data_bytes = 0
        return found

    def _keep(self, line: bytes) -> None:
        value = line[6:] if line.startswith(b"data: ") else line[5:]
        if value.endswith(b"\r"):
            value = value[:-1]
        self._data.append(value)
        self._data_bytes += len(value)
        if self._data_bytes > self._max_line_bytes:
            raise LineTooLong
