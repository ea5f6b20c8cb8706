"""Headers that every response has, whoever makes it."""

from collections.abc import MutableMapping
from typing import Final

from aiohttp import hdrs

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PICTURE_CSP: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
)
"""That of an SVG file: its own styles, which some browsers ask for there, and nothing else."""


def set_headers(headers: MutableMapping[str, str], request: str) -> None:
    """The request's id, and what browsers need to know."""
    headers[hdrs.SERVER] = "llm-stream"
    headers["X-Request-Id"] = request
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault(hdrs.CONTENT_SECURITY_POLICY, CSP)
