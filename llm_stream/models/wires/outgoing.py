"""A request to a provider, and its head as bytes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from llm_stream.models.wires.pool import Target

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_BREAKS: Final = re.compile(r"[\r\n\0]")
"""What would end a header and begin another."""

_FRAMING: Final = frozenset(
    {"connection", "content-length", "expect", "transfer-encoding", "upgrade"}
)
"""Headers that decide what bytes mean, which is not for a configuration to say."""

Heard = Callable[[Mapping[str, str]], None]
"""Is told the headers of an answer, by name in lower case; they are not kept behind it."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request: `url` is a configured base and a path of ours, `headers` hold the key.

    Without a `body` it is a GET. `accept` is the media type the answer must have;
    `connect_seconds` is the limit for name, connection and TLS together. `heard` is told the
    headers of the answer, whatever its status.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes | None
    accept: str
    connect_seconds: float = 10.0
    heard: Heard | None = None

    def head(self, target: Target) -> bytes:
        """Request line and headers, to the empty line; a configured header replaces ours.

        Raises:
            ValueError: a header would be more than one line, or says how long the body is.
        """
        headers = {
            **target.headers,
            # Compressed tokens come late and cost more.
            "accept-encoding": "identity",
            "user-agent": "llm-stream",
            "content-type": "application/json",
            "accept": self.accept,
        }
        for name, value in self.headers.items():
            known = name.lower()
            if not _NAME.fullmatch(known) or _BREAKS.search(value) or known in _FRAMING:
                raise ValueError(f"{name[:100]!r} is no header that can be sent")
            headers[known] = value
        method = "GET"
        if self.body is not None:
            method = "POST"
            headers["content-length"] = str(len(self.body))
        lines = "\r\n".join([f"{name}: {value}" for name, value in headers.items()])
        try:
            return f"{method} {target.path} HTTP/1.1\r\n{lines}\r\n\r\n".encode()
        except UnicodeEncodeError:  # which would carry all of it along, the key too
            raise ValueError("a header has what is no text") from None
