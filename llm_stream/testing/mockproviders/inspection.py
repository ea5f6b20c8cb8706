"""What the mock providers tell about themselves to other processes, under `/mock/`."""

from collections.abc import Iterable
from typing import Any

from llm_stream.testing.mockproviders.faults import NO_FAULT
from llm_stream.testing.mockproviders.record import MockRequest
from llm_stream.testing.mockproviders.replies import Reply, distorted, plain


def records(requests: Iterable[MockRequest], connections: int) -> Reply:
    """`GET /mock/requests`: what was asked, and how each reply ended."""
    body = {"connections": connections, "requests": [described(one) for one in requests]}
    return distorted(plain(body), NO_FAULT, b"")


def forgotten() -> Reply:
    """`POST /mock/forget`: faults that hold a few times are due again."""
    return distorted(plain({"forgotten": True}), NO_FAULT, b"")


def described(request: MockRequest) -> dict[str, Any]:
    """One record as JSON."""
    return {
        "method": request.method,
        "path": request.path,
        "provider": request.provider,
        "model": request.model,
        "connection": request.connection,
        "status": request.status,
        "bytes": len(request.reply),
        "sent": request.sent,
        "ended": request.ended_at is not None,
        "left": request.left,
    }
