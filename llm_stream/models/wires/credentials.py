"""In which header each kind of provider takes its key.

Never in the URL, which proxies and logs keep.
"""

from typing import Final

ANTHROPIC_VERSION: Final = "2023-06-01"


def bearer(key: str | None) -> dict[str, str]:
    """OpenAI and what is like it; nothing without a key."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def google(key: str | None) -> dict[str, str]:
    """Gemini and PaLM; nothing without a key."""
    return {} if key is None else {"x-goog-api-key": key}


def anthropic(key: str | None) -> dict[str, str]:
    """Anthropic, with the version of its API that is spoken."""
    version = {"anthropic-version": ANTHROPIC_VERSION}
    return version if key is None else {**version, "x-api-key": key}
