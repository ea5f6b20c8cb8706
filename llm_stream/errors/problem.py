"""An error as the wires say it."""

from typing import NotRequired

from typing_extensions import TypedDict  # before 3.12 pydantic cannot read typing's


class Problem(TypedDict):
    """What went wrong (RFC 9457): one shape on every wire; `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    retry_after_ms: NotRequired[int]
    field: NotRequired[str]
    upstream_status: NotRequired[int]
    upstream_request: NotRequired[str]
    run: NotRequired[str]
    request: str
