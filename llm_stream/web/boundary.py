"""Where one request on a connection ends and the next begins, told by counting bytes."""

from typing import Final

from aiohttp import hdrs, web

HEAD_END: Final = b"\r\n\r\n"

MAX_HEAD_BYTES: Final = 8192
"""Longer heads are not kept."""


class Boundary:
    """Counts what has come since the last answer. For the parser's own count is not public.

    Attributes:
        between: whether every byte so far belonged to requests that have been answered; only then
            do those that come now begin a request.
        head: the request under way up to its empty line, where that came in one piece.
    """

    __slots__ = ("_came", "between", "head")

    def __init__(self) -> None:
        self.between = True
        self.head: bytes | None = None
        self._came = 0

    def begin(self, data: bytes) -> None:
        """A request begins with these bytes, which are counted by `take`."""
        self.between = False
        self._came = 0
        end = data.find(HEAD_END)
        # Lines may be empty before a request; they are no head.
        self.head = data[:end] if 0 < end <= MAX_HEAD_BYTES and data[:1].isalpha() else None

    def take(self, data: bytes) -> None:
        """Bytes have come."""
        self._came += len(data)

    def answered(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """All of a request's answer is handed to the transport; `between` if that was all."""
        head, self.head = self.head, None
        if head is None:
            return
        headers = request.headers
        plain = hdrs.TRANSFER_ENCODING not in headers and hdrs.UPGRADE not in headers
        whole = self._came == len(head) + len(HEAD_END) + (request.content_length or 0)
        self.between = plain and whole and bool(response.keep_alive)
