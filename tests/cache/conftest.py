"""Entries made by hand, and every kind of shelf."""

from collections.abc import Callable
from typing import Any

import pytest

from llm_stream.cache.shelf import MemoryShelf, Shelf
from llm_stream.cache.stored import Stored
from llm_stream.engine.recording import Recording

MakeEntry = Callable[..., Stored]
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def recording(key: str = "k", **changes: Any) -> Recording:
    """The recording of an answer without text."""
    ending = {
        "type": "run.completed",
        "finish_reason": "stop",
        "result": None,
        "text_sha256": EMPTY_SHA256,
        "text_chars": 0,
        "usage": {"input_tokens": 1, "output_tokens": 2},
        "attempts": 1,
    }
    facts = {"key": key, "recipe": "generate", "model": "m", "run": "run_1", "ending": ending}
    return Recording(**{**facts, **changes})


@pytest.fixture
def make_entry() -> MakeEntry:
    """Makes an entry: `make_entry(key="k", marks={}, ...)`."""

    def make(key: str = "k", marks: dict[str, int] | None = None, **changes: Any) -> Stored:
        facts = {"request": b"{}", "marks": marks or {}, "fresh_seconds": 60.0}
        return Stored(recording=recording(key), **{**facts, **changes})

    return make


@pytest.fixture
def shelf() -> Shelf:
    """Room for three entries."""
    return MemoryShelf(max_entries=3, max_bytes=1_000_000)
