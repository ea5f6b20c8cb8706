"""The fold: all events into one result."""

from collections.abc import Iterator
from typing import Any

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.fold import AT_ONCE, Fold
from llm_stream.events import Event, encoded


def folded(*payloads: Any) -> Any:
    """The fold of a log with these payloads."""
    log = EventLog("run_1", max_bytes=100_000)
    return Fold(log.append(payload) for payload in payloads)


def test_pieces_are_collected_in_order() -> None:
    """Text, reasoning, usage, items, tool calls and the end each have their place."""
    fold = folded(
        {"type": "run.started", "recipe": "generate", "model": "m", "cache": "miss", "key": "k"},
        {"type": "reasoning.delta", "text": "hm"},
        {"type": "text.delta", "text": "a"},
        {"type": "tool.called", "tool_call_id": "1", "name": "f", "arguments": {}},
        {"type": "item.completed", "path": "tasks/0", "value": 1},
        {"type": "text.delta", "text": "b"},
        {"type": "step.started", "step": "s", "title": "ignored"},
        {"type": "run.cancelled", "reason": "requested",
         "usage": {"input_tokens": None, "output_tokens": None}},
    )  # fmt: skip

    assert fold.text == ["a", "b"]
    assert fold.reasoning == ["hm"]
    assert fold.tool_calls[0]["name"] == "f"
    assert fold.items[0]["path"] == "tasks/0"
    assert fold.started["model"] == "m"
    assert fold.terminal["type"] == "run.cancelled"


def test_a_long_log_is_decoded_piece_by_piece() -> None:
    """What is decoded and not yet folded is bounded, whatever the log has."""
    fold, ahead = Fold(), []

    def events() -> Iterator[Event]:
        for number in range(3 * AT_ONCE + 1):
            ahead.append(number - len(fold.text))
            yield encoded(1, number + 1, "run_1", 0, {"type": "text.delta", "text": "x"})

    fold.extend(events())

    assert len(fold.text) == 3 * AT_ONCE + 1
    assert max(ahead) < AT_ONCE


def test_a_restart_discards_earlier_output() -> None:
    """What came before `run.restarted` is not part of the result."""
    fold = folded(
        {"type": "text.delta", "text": "wrong"},
        {"type": "run.restarted", "reason": "x"},
        {"type": "text.delta", "text": "right"},
    )

    assert fold.text == ["right"]


def test_a_restart_does_not_unspend(make_run: Any) -> None:
    """Text before a restart is void, the tokens were spent."""
    run = make_run()
    usage = {"type": "usage", "model": "m", "input_tokens": 3, "output_tokens": 4,
             "details": None, "estimated": False}  # fmt: skip
    for payload in ({"type": "text.delta", "text": "void"}, usage,
                    {"type": "run.restarted", "reason": "invalid_output"}, usage):  # fmt: skip
        run.log.append(payload)
    fold = Fold(run.events())

    assert fold.text == []
    assert len(fold.usage) == 2
