"""A verdict in the terminal: each criterion when it is judged, then what it comes to."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llm_stream.cli.screen import Screen
from llm_stream.cli.tellers import code_of
from llm_stream.cli.textcells import one_line, wrapped
from llm_stream.engine.fold import Fold

COLOURS: Final = {
    "met": "green", "sufficient": "green", "partial": "yellow", "uncertain": "yellow",
    "unmet": "red", "insufficient": "red",
}  # fmt: skip

RATING: Final = 9
"""Columns of a rating, and of the space before what belongs to it."""


class Verdict:
    """See `Teller`."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def tell(self, told: dict[str, Any]) -> None:
        """Print a judged criterion."""
        if told["type"] == "item.completed":
            rating = told["value"]["rating"]
            for place, line in enumerate(criterion_lines(told["value"], self._screen.columns)):
                if place:
                    self._screen.line(line)
                else:
                    self._screen.styled(line, fg=COLOURS.get(rating), bold=True)
        elif told["type"] == "run.restarted":
            self._screen.line("(the judgement begins anew; what stands above is void)")

    def end(self, fold: Fold) -> int:
        """Print the verdict."""
        if fold.terminal is not None:
            result = fold.terminal["result"]
            self._screen.line()
            first, *rest = verdict_lines(result, self._screen.columns)
            self._screen.styled(first, fg=COLOURS.get(result["verdict"]), bold=True)
            for line in rest:
                self._screen.line(line)
        return code_of(fold, "evaluate")


def criterion_lines(value: Mapping[str, Any], columns: int) -> Iterator[str]:
    """A judged criterion: rating and title first, then the reason, quotes, and what is missing."""
    rating = {"not_applicable": "n/a"}.get(value["rating"], value["rating"])
    title = value["title"] + (" (required)" if value["required"] else "")
    yield from _hanging(f"{one_line(rating):<{RATING}}", title, columns)
    yield from _hanging(" " * RATING, value["reason"], columns)
    for each in value["evidence"]:
        quote = f'"{one_line(each["quote"])}" ({one_line(each["source"])})'
        yield from _hanging(" " * RATING + "> ", quote, columns)
    for gap in value["missing"]:
        what = f"{gap['what']}; next: {gap['next_action']}" if gap["next_action"] else gap["what"]
        yield from _hanging(" " * RATING + f"- {gap['severity']}: ", what, columns)


def verdict_lines(result: Mapping[str, Any], columns: int) -> Iterator[str]:
    """What it comes to, in a line that begins with the verdict, and what stands in its way.

    Its reasoning says what stands under each criterion once more.
    """
    score = "no score" if result["score"] is None else f"score {result['score']:g}"
    confidence = result["confidence"]
    samples = f" of {confidence['samples']} samples" if confidence["samples"] > 1 else ""
    met = sum(each["rating"] == "met" for each in result["criteria"])
    said = (
        f"{met} of {len(result['criteria'])} met, {score}, {result['threshold']:g} needed, "
        f"confidence {confidence['value']:g}{samples}"
    )
    yield from _hanging(f"{result['verdict']}: ", said, columns)
    titles = {each["id"]: each["title"] for each in result["criteria"]}
    for name in result["blocking"]:
        yield from _hanging("blocked by: ", titles.get(name, name), columns)
    if result["checks"]["stopped_early"]:
        yield "not all were judged: a required one is unmet"


def _hanging(head: str, text: str, columns: int) -> Iterator[str]:
    """Text that stands behind a head on its first line, and below itself on the others."""
    for place, line in enumerate(wrapped(text, columns - len(head))):
        if line:
            yield (head if not place else " " * len(head)) + line
