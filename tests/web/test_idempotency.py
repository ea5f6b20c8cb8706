"""Idempotency keys."""

from typing import Any

import pytest

from llm_stream.errors import IdempotencyConflict, InvalidField
from llm_stream.web.idempotency import MAX_KEYS, IdempotencyKeys

from ..engine.conftest import Clock


@pytest.fixture
def clock() -> Clock:
    """Stands still until moved."""
    return Clock()


@pytest.fixture
def keys(clock: Clock) -> IdempotencyKeys:
    """Keys that are remembered for 60 s."""
    return IdempotencyKeys(60, clock)


def test_the_same_key_and_body_find_the_run(keys: IdempotencyKeys, clock: Clock) -> None:
    """A key leads to its run until its time is over."""
    assert keys.find("ann", "/v1/generate", "k", b"{}") is None
    keys.remember("ann", "/v1/generate", "k", b"{}", "run_1")
    assert keys.find("ann", "/v1/generate", "k", b"{}") == "run_1"

    clock.now += 61

    assert keys.find("ann", "/v1/generate", "k", b"{}") is None


def test_another_body_conflicts(keys: Any) -> None:
    """One key, one request."""
    keys.remember("ann", "/v1/generate", "k", b"{}", "run_1")

    with pytest.raises(IdempotencyConflict):
        keys.find("ann", "/v1/generate", "k", b"{ }")


def test_keys_belong_to_an_owner_and_a_path(keys: Any) -> None:
    """Another owner or call with the same key is another key."""
    keys.remember("ann", "/v1/generate", "k", b"{}", "run_1")

    assert keys.find("bob", "/v1/generate", "k", b"[]") is None
    assert keys.find("ann", "/v1/reason", "k", b"[]") is None


def test_memory_is_bounded(keys: Any) -> None:
    """The oldest keys are forgotten first; overlong ones are refused."""
    for number in range(MAX_KEYS + 1):
        keys.remember("", "/", str(number), b"", "run")

    assert keys.find("", "/", "0", b"") is None
    assert keys.find("", "/", "1", b"") == "run"
    with pytest.raises(InvalidField):
        keys.find("", "/", "k" * 256, b"")
