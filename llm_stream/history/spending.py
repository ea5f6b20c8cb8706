"""What a run's calls of models have spent, told from its events: by model, exact or estimated.

A model reports its tokens at the end of a call. Of a call that was cancelled or broke off nobody
reports any, though its provider counts them; what it has said is known, so they are estimated.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import orjson

from llm_stream.engine.runinfo import RunInfo
from llm_stream.errors import OwnerLost
from llm_stream.recipes.spec import RunSpec

CHARS_PER_TOKEN: Final = 4
"""How long a token is taken to be: that of English text, about; code and other scripts have
shorter ones."""

SPENDERS: Final = frozenset({"generate"})
"""Recipes that call models; the others report again what their inner runs have spent."""


class Spent(NamedTuple):
    """Calls of one model that said something, and their tokens: as reported, and estimated."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    estimated_input_tokens: int = 0
    estimated_output_tokens: int = 0

    def plus(self, other: "Spent") -> "Spent":
        """Both together."""
        return Spent(*(mine + its for mine, its in zip(self, other, strict=True)))


def spent_by(spec: RunSpec, info: RunInfo, events: Iterable[dict[str, Any]]) -> dict[str, Spent]:
    """What a run has spent itself, by the catalog's ids of the models that answered.

    A call that ended before its first output is left out: whether it was ever sent is not known.

    Args:
        spec: what was asked.
        info: what the run is.
        events: its events, decoded; texts that follow each other may be one.
    """
    if info.recipe not in SPENDERS:
        return {}
    return Spending(spec).of(info.model, events)


class Spending:
    """Adds the calls of one run up.

    Args:
        spec: what was asked; each call is taken to have had the whole of it.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._asked_tokens = tokens_in(spec.asked_chars)
        self._sums: dict[str, Spent] = {}
        self._said_chars = 0

    def of(self, model: str, events: Iterable[dict[str, Any]]) -> dict[str, Spent]:
        """What these events tell; `model` is the one that was asked first."""
        first = model
        for event in events:
            match event["type"]:
                case "text.delta" | "reasoning.delta":
                    self._said_chars += len(event["text"])
                case "tool.called":
                    self._said_chars += len(orjson.dumps(event["arguments"]))
                case "usage":
                    self._add(model, event)
                case "attempt.failed":
                    self._broke_off(event["model"])
                    model = (event["next"] or {}).get("model", model)
                case "run.restarted" if event["reason"] == OwnerLost.code:
                    self._broke_off(model)
                    model = first
        self._broke_off(model)
        return self._sums

    def _add(self, model: str, usage: dict[str, Any]) -> None:
        read, written = usage["input_tokens"], usage["output_tokens"]
        if usage["estimated"]:
            spent = Spent(1, 0, 0, read or 0, written or 0)
        else:
            spent = Spent(
                1,
                read or 0,
                written or 0,
                self._asked_tokens if read is None else 0,
                tokens_in(self._said_chars) if written is None else 0,
            )
        earlier = self._sums.get(model)
        self._sums[model] = spent if earlier is None else earlier.plus(spent)
        self._said_chars = 0

    def _broke_off(self, model: str) -> None:
        if self._said_chars:
            self._add(model, {"input_tokens": None, "output_tokens": None, "estimated": False})


def tokens_in(chars: int) -> int:
    """About how many tokens so many characters are, rounded up."""
    return -(-chars // CHARS_PER_TOKEN)
