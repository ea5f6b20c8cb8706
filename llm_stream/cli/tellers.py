"""What a command prints of a run: a teller a shape, fed with events as they come."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import orjson

from llm_stream.cli import exitcodes
from llm_stream.cli.plainanswer import plain_answer
from llm_stream.cli.screen import Screen
from llm_stream.client.problems import AnswerRestarted
from llm_stream.engine.fold import Fold

Told = dict[str, Any]


class Teller(Protocol):
    """Prints a run."""

    def tell(self, told: Told) -> None:
        """Print what this event adds.

        Raises:
            AnswerRestarted: what was printed is void, and cannot be taken back.
        """

    def end(self, fold: Fold) -> int:
        """Print the rest of a run that was completed; the exit code."""


class Events:
    """Every event as it is, one a line."""

    def __init__(self, screen: Screen, recipe: str) -> None:
        self._screen = screen
        self._recipe = recipe

    def tell(self, told: Told) -> None:
        """Print it."""
        self._screen.raw(orjson.dumps(told))

    def end(self, fold: Fold) -> int:
        """All was printed."""
        return code_of(fold, self._recipe)


class Whole:
    """Nothing until the end, then the plain answer as JSON."""

    def __init__(self, screen: Screen, recipe: str) -> None:
        self._screen = screen
        self._recipe = recipe

    def tell(self, told: Told) -> None:
        """Not yet."""

    def end(self, fold: Fold) -> int:
        """Print the answer."""
        self._screen.raw(orjson.dumps(plain_answer(fold), option=orjson.OPT_INDENT_2))
        return code_of(fold, self._recipe)


class Text:
    """The answer's text as it is written, of generate and reason.

    Args:
        screen: where to.
        held: print it at its end: who reads a JSON answer from a pipe has no use for half of it,
            and the first one may be void.
    """

    def __init__(self, screen: Screen, *, held: bool = False) -> None:
        self._screen = screen
        self._held = held and not screen.is_terminal
        self._begun = False

    def tell(self, told: Told) -> None:
        """Print a piece of the answer."""
        if self._held:
            return
        if told["type"] == "text.delta" and "step" not in told:
            self._begun = self._begun or bool(told["text"])
            self._screen.write(told["text"])
        elif told["type"] == "run.restarted" and self._begun:
            self._begun = False
            if not self._screen.is_terminal:
                raise AnswerRestarted(
                    "The answer began anew, and a part of the void one is printed already. "
                    "--json prints whole answers only.",
                    run=told["run"],
                )
            self._screen.line()

    def end(self, fold: Fold) -> int:
        """End the line."""
        if self._held:
            self._screen.write("".join(fold.text))
        self._screen.end_line()
        return 0


class Results:
    """The results of a batch, one a line, as they end."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def tell(self, told: Told) -> None:
        """Print a result."""
        if told["type"] == "item.completed":
            self._screen.raw(orjson.dumps(told["value"]))

    def end(self, fold: Fold) -> int:
        """All was printed."""
        return code_of(fold, "batch")


VERDICTS: Final[Mapping[str, int]] = {
    "sufficient": 0,
    "insufficient": exitcodes.INSUFFICIENT,
    "uncertain": exitcodes.UNCERTAIN,
}


def code_of(fold: Fold, recipe: str) -> int:
    """The exit code that says what came of a completed run of a recipe."""
    result = (fold.terminal or {}).get("result")
    if not isinstance(result, dict):
        return 0
    if recipe == "batch":
        return exitcodes.FAILED if result["failed"] else 0
    return VERDICTS[result["verdict"]] if recipe == "evaluate" else 0
