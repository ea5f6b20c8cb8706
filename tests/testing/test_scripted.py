"""The scripted models themselves: they do what their script says, repeatably."""

import asyncio
from typing import Any

import pytest

from llm_stream.testing import Fault, Script, ScriptedModel, ScriptedSyncModel, words


async def say(model: ScriptedModel) -> Any:
    """Text of one answer."""
    return [chunk async for chunk in model.prompt("hi")]


async def test_an_answer_is_its_script() -> None:
    """Chunks, usage, reason and version are those of the script."""
    model = ScriptedModel("m", Script(chunks=("a", "b"), usage=(1, 2), finish_reason="length"))
    response = model.prompt("Plan a shop.", system="Be brief.", temperature=0.5)

    assert [chunk async for chunk in response] == ["a", "b"]
    assert (await response.usage()).output == 2
    assert response.response_json == {"finish_reason": "length"}
    call = model.calls[0]
    assert (call.prompt, call.system, call.options) == (
        "Plan a shop.", "Be brief.", {"temperature": 0.5},
    )  # fmt: skip
    assert call.closed.is_set()


async def test_scripts_are_used_in_order_and_the_last_repeats() -> None:
    """One script a prompt, then the last again and again."""
    model = ScriptedModel("m", Script(chunks=("1",)), Script(chunks=("2",)))

    assert [await say(model) for _ in range(3)] == [["1"], ["2"], ["2"]]


async def test_faults_happen_where_they_are_scripted() -> None:
    """An error after two chunks, an early end after one, a stall until cancelled."""
    model = ScriptedModel("m", Script(fault=Fault(at=2, error=OSError("cut"))))
    with pytest.raises(OSError, match="cut"):
        await say(model)
    assert model.calls[0].said == 2

    model.scripts = [Script(fault=Fault(at=1, end=True))]
    assert await say(model) == ["Hello"]

    model.scripts = [Script(fault=Fault(at=1, stall=True))]
    task = asyncio.create_task(say(model))
    while len(model.calls) < 3 or not model.calls[2].said:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert model.calls[2].closed.is_set()


def test_the_sync_model_does_the_same() -> None:
    """The sync variant follows the same scripts and faults."""
    model = ScriptedSyncModel("m", Script(), Script(fault=Fault(at=1, error=OSError("cut"))))
    assert list(model.prompt("hi")) == ["Hello", ", ", "world", "."]

    with pytest.raises(OSError, match="cut"):
        list(model.prompt("hi"))
    assert all(call.closed.is_set() for call in model.calls)


def test_jitter_is_seeded() -> None:
    """Equal seeds draw equal delays, around the one asked for."""
    script = Script(delay_seconds=1.0, jitter=0.5, seed=3)
    one, two = script.delays(), Script(delay_seconds=1.0, jitter=0.5, seed=3).delays()
    drawn = [next(one) for _ in range(50)]

    assert drawn == [next(two) for _ in range(50)]
    assert all(0.5 <= delay <= 1.5 for delay in drawn)
    assert len(set(drawn)) > 40


def test_words_are_seeded_and_different() -> None:
    """`words` repeats for a seed, and holds more than ASCII."""
    assert words(100) == words(100)
    assert words(100, seed=1) != words(100)
    assert len(set(words(100))) == 100
    assert any(not word.isascii() for word in words(100))
