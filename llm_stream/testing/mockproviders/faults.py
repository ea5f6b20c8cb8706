"""What can go wrong with one reply of a mock provider, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

Ending = Literal["fin", "rst", "end"]
"""How a cut looks: the connection is closed, is reset, or HTTP says that all was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MockFault:
    """How a reply departs from a good one. Faults combine; the default is none.

    Chunks are what a provider sends at once: one SSE event, one element of Gemini's array; a plain
    reply is a single chunk. They are counted from 0, bytes of the body (before HTTP's own chunked
    coding) as well. A place beyond the end means the end.

    Args:
        status: answer with this status and the provider's own kind of error; 0 = 200.
        headers: sent beside, or instead of, the usual ones; an empty value takes one away.
        limit_left: calls that the provider says it will still take, in its own headers; None = as
            many as usual. Google's wires say no such thing.
        limit_reset_seconds: until that is reset.
        retry_date_seconds: a `Retry-After` that is an HTTP date so many seconds from now.
        retry_info_seconds: how long Google's body says to wait (`RetryInfo`); others have no such
            thing.
        content_type: said instead of the true one.
        body: sent instead of what the provider would say.
        html: send a gateway's HTML page as the body.
        cut_at: send that many bytes of the body, then cut.
        cut_head_at: send that many bytes of the status line and headers, then cut.
        how: how the cut looks.
        unframed: neither length nor chunked coding; the end of the connection ends the body.
        silent: read the request and never answer.
        stall_at: say nothing more before this chunk.
        split: write that many bytes at a time, each as one chunk of the chunked coding; 0 = whole.
        header_seconds: how long the status line takes.
        first_seconds: from the headers to the first chunk.
        pace_seconds: between two chunks.
        jitter: share of `pace_seconds` that varies, 0 to 1; drawn from the server's seed and the
            request's body, so that an equal request is answered at an equal pace.
        malformed_at: this chunk is broken off, and the stream goes on as if it were not.
        error_at: instead of this chunk the provider tells of an error, and ends.
        error_status: of what kind that error is; 0 = the provider's usual one.
        empty: a body of no bytes.
        no_usage: tokens are not reported.
        no_done: the last mark of a stream is missing: `[DONE]`, `message_stop`.
        no_finish: the finish reason is missing, and all that would follow it.
        crlf: lines of SSE end with CR LF.
        comments: a comment stands before each SSE event.
        times: only so many requests, then the next fault in line holds; None = always.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    limit_left: int | None = None
    limit_reset_seconds: float = 1.0
    retry_date_seconds: float | None = None
    retry_info_seconds: float | None = None
    content_type: str = ""
    body: str | None = None
    html: bool = False
    cut_at: int | None = None
    cut_head_at: int | None = None
    how: Ending = "fin"
    unframed: bool = False
    silent: bool = False
    stall_at: int | None = None
    split: int = 0
    header_seconds: float = 0.0
    first_seconds: float = 0.0
    pace_seconds: float = 0.0
    jitter: float = 0.0
    malformed_at: int | None = None
    error_at: int | None = None
    error_status: int = 0
    empty: bool = False
    no_usage: bool = False
    no_done: bool = False
    no_finish: bool = False
    crlf: bool = False
    comments: bool = False
    times: int | None = None

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


NO_FAULT: Final = MockFault()


def fault_in_line(faults: Sequence[MockFault], number: int) -> MockFault:
    """The fault of a model's request `number`, counted from 0; none once all have had their turn.

    Args:
        faults: in the order in which they hold, each for its `times`.
        number: how many requests came before.
    """
    for fault in faults:
        if fault.times is None or number < fault.times:
            return fault
        number -= fault.times
    return NO_FAULT
