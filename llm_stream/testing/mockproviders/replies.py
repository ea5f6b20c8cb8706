"""Replies as bytes: chunks of a body, SSE, and what a fault makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Final

import orjson

from llm_stream.testing.mockproviders.faults import MockFault

REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
JSON: Final = "application/json"
SSE: Final = "text/event-stream; charset=utf-8"
GATEWAY_PAGE: Final = (
    "<html>\r\n<head><title>{status} Bad Gateway</title></head>\r\n"
    "<body><center><h1>{status} Bad Gateway</h1></center></body>\r\n</html>\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply before anything has gone wrong with it: the body in the chunks it is sent in."""

    status: int = 200
    content_type: str = JSON
    chunks: Sequence[bytes] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    streams: bool = False


def encoded(value: Any) -> bytes:
    """JSON."""
    return orjson.dumps(value)


def event(value: Any, name: str = "") -> bytes:
    """One SSE event, named or not; a string is sent as it is."""
    data = value if isinstance(value, str) else encoded(value).decode()
    return f"{f'event: {name}' + chr(10) if name else ''}data: {data}\n\n".encode()


def plain(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply that is one JSON value."""
    return Reply(status=status, chunks=(encoded(value),), headers=headers or {})


def distorted(reply: Reply, fault: MockFault, error_chunk: bytes) -> Reply:
    """What a fault makes of a reply's status, headers and bytes; cuts and pauses come later.

    Args:
        reply: a good one, or the provider's own error.
        fault: what is to go wrong.
        error_chunk: how the provider tells of an error inside a stream.
    """
    chunks = [*reply.chunks]
    if fault.error_at is not None and reply.status == 200:
        chunks = [*chunks[: fault.error_at], error_chunk]
    if fault.malformed_at is not None and chunks:
        at = min(fault.malformed_at, len(chunks) - 1)
        chunks[at] = broken_off(chunks[at])
    if reply.content_type.startswith("text/event-stream"):
        if fault.comments:
            chunks = [b": keep-alive\n\n" + chunk for chunk in chunks]
        if fault.crlf:
            chunks = [chunk.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for chunk in chunks]
    content_type = reply.content_type
    if fault.html:
        chunks, content_type = [GATEWAY_PAGE.format(status=reply.status).encode()], "text/html"
    if fault.body is not None:
        chunks = [fault.body.encode()]
    if fault.empty:
        chunks = []
    headers = {
        "content-type": fault.content_type or content_type,
        **reply.headers,
        **retry_date(fault.retry_date_seconds),
        **{name.lower(): value for name, value in fault.headers.items()},
    }
    kept = {name: value for name, value in headers.items() if value}
    return replace(reply, chunks=[chunk for chunk in chunks if chunk], headers=kept)


def broken_off(chunk: bytes) -> bytes:
    """A chunk without its last third; the line's end stays, so that the next chunk is whole."""
    text = chunk.rstrip()
    return text[: len(text) * 2 // 3] + chunk[len(text) :]


def retry_date(seconds: float | None) -> dict[str, str]:
    """`Retry-After` as a date so many seconds from now; nothing for None."""
    if seconds is None:
        return {}
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return {"retry-after": format_datetime(moment, usegmt=True)}


def head(reply: Reply, *, unframed: bool, keep_alive: bool) -> bytes:
    """The status line and the headers of a distorted reply."""
    headers = dict(reply.headers)
    if unframed or not keep_alive:
        headers["connection"] = "close"
    if not unframed and reply.streams:
        headers["transfer-encoding"] = "chunked"
    elif not unframed:
        headers.setdefault("content-length", str(sum(map(len, reply.chunks))))
    lines = [f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Overloaded')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
