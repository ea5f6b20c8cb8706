"""All events of a run folded into one result: what a plain REST answer and a snapshot say."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import orjson

from llm_stream.events import Event, decoded
from llm_stream.payloads import TERMINAL_TYPES

AT_ONCE: Final = 256
"""Events that are decoded together: all of a long log would take several times its bytes."""

TOOL_CALL: Final = ("tool_call_id", "name", "arguments", "provider_metadata")
"""What a call of a tool is told by, and can be sent back as."""


class Fold:
    """Accumulates events, in order and without gaps from the first.

    Attributes:
        text: pieces of the answer, those of a recipe's steps left out; join them.
        reasoning: pieces of the reasoning.
        usage: `usage` events as they came, one a model call; a restart does not unspend them.
        items: `item.completed` events as they came.
        tool_calls: `tool.called` events as they came.
        failures: `attempt.failed` events as they came.
        started: the `run.started` event, empty before it was added.
        terminal: the terminal event, None before it was added.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.started: dict[str, Any] = {}
        self.terminal: dict[str, Any] | None = None
        self.failures: list[dict[str, Any]] = []
        self.usage: list[dict[str, Any]] = []
        self._discard()
        self.extend(events)

    def _discard(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.items: list[dict[str, Any]] = []
        self.tool_calls: list[dict[str, Any]] = []

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls of tools, as they can be sent back with their results."""
        return [
            {name: call[name] for name in TOOL_CALL if name in call} for call in self.tool_calls
        ]

    def add(self, event: Event) -> None:
        """Take one more event into account; types it does not know are ignored."""
        payload = decoded(event)
        self.add_payload(payload["type"], payload)

    def extend(self, events: Iterable[Event]) -> None:
        """`add` each, at half the price."""
        left = iter(events)
        while given := [*islice(left, AT_ONCE)]:
            for payload in orjson.loads(b"[%b]" % b",".join(given)):
                self.add_payload(payload["type"], payload)

    def add_payload(self, kind: str, payload: dict[str, Any]) -> None:
        """The same for a payload that is no event yet."""
        match kind:
            case "text.delta" if "step" not in payload:
                self.text.append(payload["text"])
            case "reasoning.delta":
                self.reasoning.append(payload["text"])
            case "usage":
                self.usage.append(payload)
            case "item.completed":
                self.items.append(payload)
            case "tool.called":
                self.tool_calls.append(payload)
            case "attempt.failed":
                self.failures.append(payload)
            case "run.started":
                self.started = payload
            case "run.restarted":
                self._discard()
                if payload["reason"] == "owner_lost":
                    self.failures = []  # it begins with the model that was asked
            case _ if kind in TERMINAL_TYPES:
                self.terminal = payload
