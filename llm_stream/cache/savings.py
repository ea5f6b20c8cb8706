"""What hits did not cost: tokens, and money where prices are known."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from llm_stream.engine.recording import Recording

MILLION = 1_000_000


class Price(NamedTuple):
    """Of a million tokens, in whatever currency the operator counts."""

    input_per_million: float
    output_per_million: float

    def cost(self, read: int, written: int) -> float:
        """Of so many tokens that the model has read, and written."""
        return (read * self.input_per_million + written * self.output_per_million) / MILLION


class Savings:
    """Sums over every hit, by the model that was not called.

    Args:
        prices: by model id; a model without one saves tokens only.
        label_of: what a model is called in the sums, by its id.

    Attributes:
        tokens: {(label, "input" or "output"): tokens}.
        cost: {label: money}.
    """

    def __init__(self, prices: Mapping[str, Price], label_of: Callable[[str], str] = str) -> None:
        self._prices = prices
        self._label_of = label_of
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.cost: dict[str, float] = {}

    def add(self, recording: Recording) -> None:
        """One answer was given again."""
        model, usage = recording.model, recording.ending["usage"]
        read, written = usage["input_tokens"] or 0, usage["output_tokens"] or 0
        label = self._label_of(model)
        self.tokens[label, "input"] += read
        self.tokens[label, "output"] += written
        if (price := self._prices.get(model)) is not None:
            self.cost[label] = self.cost.get(label, 0.0) + price.cost(read, written)
