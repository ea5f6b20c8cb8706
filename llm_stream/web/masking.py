"""Frames of a WebSocket client have to be masked; aiohttp takes those that are not.

Source: RFC 6455, 5.1 ("The server MUST close the connection upon receiving a frame that is not
masked") and 5.2, which says where a frame ends.
"""

from typing import Final, Protocol

BROKEN: Final = b"\xf0\x80\x00\x00\x00\x00"
"""A frame with reserved bits: aiohttp closes with 1002 where it comes."""

_MASKED: Final = 0x80
_LENGTH: Final = 0x7F


class FrameReader(Protocol):
    """What aiohttp hands the bytes of a socket to."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; whether the connection is over, and what was not read."""

    def feed_eof(self) -> None:
        """Nothing more will come."""


class MaskedFrames:
    """A reader of frames that gets masked ones only.

    Looks at no more of the bytes than where each frame begins, and whether it is masked. Nothing
    is kept but the beginning of a frame whose length has not arrived, nine bytes at most.
    """

    __slots__ = ("_broken", "_held", "_left", "_reader")

    def __init__(self, reader: FrameReader) -> None:
        self._reader = reader
        self._held = b""
        self._left = 0  # bytes of the present frame that are still to come
        self._broken = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Hand on what is masked; the first frame that is not is one that aiohttp refuses."""
        return self._reader.feed_data(self._masked(data))

    def feed_eof(self) -> None:
        """Hand it on."""
        self._reader.feed_eof()

    def _masked(self, data: bytes) -> bytes:
        if self._broken:
            return b""
        if self._held:
            data, self._held = self._held + data, b""
        at, size = self._left, len(data)
        while at + 2 <= size:
            second = data[at + 1]
            if not second & _MASKED:
                self._broken = True
                return data[:at] + BROKEN
            length, body = second & _LENGTH, at + 6
            if length >= 126:
                begin = at + 2
                end = begin + (2 if length == 126 else 8)
                if end > size:
                    break
                length, body = int.from_bytes(data[begin:end], "big"), end + 4
            at = body + length
        if at < size:
            self._held, data = data[at:], data[:at]
            self._left = 0
        else:
            self._left = at - size
        return data
