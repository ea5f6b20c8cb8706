"""Entries made by hand, and every kind of shelf."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from llm_stream.cache.redisshelf import RedisShelf
from llm_stream.cache.shelf import MemoryShelf, Shelf
from llm_stream.cache.stored import Stored
from llm_stream.engine.recording import Recording

from ..engine.conftest import make_run  # noqa: F401 - a fixture
from ..redisserver import RedisServer

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


def aged(entry: Stored, seconds: float) -> Stored:
    """The entry as if it had been stored that long ago."""
    return replace(entry, stored_at=entry.stored_at - seconds, born=entry.born - seconds)


@pytest.fixture
def make_entry() -> MakeEntry:
    """Makes an entry: `make_entry(key="k", marks={}, ...)`."""

    def make(key: str = "k", marks: dict[str, int] | None = None, **changes: Any) -> Stored:
        facts = {"request": b"{}", "marks": marks or {}, "fresh_seconds": 60.0}
        return Stored(**{"recording": recording(key), **facts, **changes})

    return make


@pytest.fixture
def memory() -> MemoryShelf:
    """Room for three entries."""
    return MemoryShelf(max_entries=3, max_bytes=1_000_000)


@pytest.fixture
async def redis_shelf(redis_server: RedisServer) -> AsyncIterator[RedisShelf]:
    """A shelf in a real Redis."""
    shelf = RedisShelf(redis_server.url, prefix="t", observe=lambda _seconds: None)
    yield shelf
    await shelf.close()


@pytest.fixture(params=["memory", "redis_shelf"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    """Every kind of shelf."""
    kind: Shelf = request.getfixturevalue(request.param)
    return kind
