"""Idempotency keys."""

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


async def find(
    keys: IdempotencyKeys,
    owner: str = "ann",
    path: str = "/v1/generate",
    key: str = "k",
    body: bytes = b"{}",
) -> str:
    """The run that a key has started, "" for none."""
    async with keys.turn(owner, path, key, body) as turn:
        return await turn.find()


async def began(keys: IdempotencyKeys, run: str, key: str = "k") -> None:
    """Ann's key starts this run."""
    async with keys.turn("ann", "/v1/generate", key, b"{}") as turn:
        turn.began(run)


async def test_the_same_key_and_body_find_the_run(keys: IdempotencyKeys, clock: Clock) -> None:
    """A key leads to its run until its time is over."""
    assert await find(keys) == ""
    await began(keys, "run_1")
    assert await find(keys) == "run_1"

    clock.now += 61

    assert await find(keys) == ""


async def test_another_body_conflicts(keys: IdempotencyKeys) -> None:
    """One key, one request."""
    await began(keys, "run_1")

    with pytest.raises(IdempotencyConflict):
        await find(keys, body=b"{ }")


async def test_keys_belong_to_an_owner_and_a_path(keys: IdempotencyKeys) -> None:
    """Another owner or call with the same key is another key, whatever characters they share."""
    await began(keys, "run_1")

    assert await find(keys, owner="bob", body=b"[]") == ""
    assert await find(keys, path="/v1/reason", body=b"[]") == ""
    assert await find(keys, owner="an", path="n/v1/generate", body=b"[]") == ""


async def test_any_characters_make_a_key(keys: IdempotencyKeys) -> None:
    """Also bytes of a header that are no text."""
    await began(keys, "run_1", "\udcff{}\n")

    assert await find(keys, key="\udcff{}\n") == "run_1"


async def test_memory_is_bounded(keys: IdempotencyKeys) -> None:
    """The oldest keys are forgotten first; overlong ones are refused."""
    for number in range(MAX_KEYS + 1):
        await began(keys, "run", str(number))

    assert await find(keys, key="0") == ""
    assert await find(keys, key="1") == "run"
    with pytest.raises(InvalidField):
        await find(keys, key="k" * 256)
