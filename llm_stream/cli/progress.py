"""What is said on standard error while a run is under way."""

from typing import TYPE_CHECKING, Any

from llm_stream.cli.screen import Screen
from llm_stream.engine.fold import Fold

if TYPE_CHECKING:
    from collections.abc import Callable


class Progress:
    """Says what a run does; see `Screen` for who is told."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._doing = ""
        self._items = 0
        self._says: dict[str, Callable[[dict[str, Any]], None]] = {
            "run.started": self._started,
            "run.queued": self._queued,
            "attempt.failed": self._failed,
            "reasoning.delta": self._reasoned,
            "step.started": self._stepped,
            "step.completed": self._solved,
            "item.completed": self._item,
            "run.restarted": self._restarted,
        }

    def tell(self, told: dict[str, Any]) -> None:
        """Say what this event means, if it is worth it."""
        if says := self._says.get(told["type"]):
            says(told)

    def end(self, fold: Fold) -> None:
        """Sum up a completed run."""
        end = fold.terminal or {}
        if not fold.started or "usage" not in end:
            return
        usage, timings = end["usage"], end.get("timings") or {}
        tokens = [
            f"{usage[name]} tokens {way}"
            for name, way in (("input_tokens", "in"), ("output_tokens", "out"))
            if usage.get(name) is not None
        ]
        total = timings.get("total_ms")
        words = [
            fold.started["model"],
            end["finish_reason"],
            *tokens,
            *([] if total is None else [f"{total / 1000:.1f} s"]),
            *([fold.started["cache"]] if fold.started["cache"] != "miss" else []),
            fold.started["run"],
        ]
        self._screen.note(f"-- {', '.join(words)}")

    def _started(self, told: dict[str, Any]) -> None:
        said = {"hit": ", a kept answer", "joined": ", joined"}.get(told["cache"], "")
        self._doing = f"{told['recipe']} by {told['model']}{said}"
        self._screen.status(self._doing)

    def _queued(self, told: dict[str, Any]) -> None:
        self._screen.status(f"{self._doing}: place {told['position']} in the queue")

    def _failed(self, told: dict[str, Any]) -> None:
        after = told["next"]
        then = f"; {after['model']} next" if after else ""
        self._screen.note(f"attempt {told['attempt']}: {told['error']['detail']}{then}")

    def _reasoned(self, told: dict[str, Any]) -> None:
        if self._screen.verbose:
            self._screen.thought(told["text"])
        self._screen.status(f"{self._doing}: thinking")

    def _stepped(self, told: dict[str, Any]) -> None:
        self._screen.status(f"{self._doing}: {told['title']}")

    def _solved(self, told: dict[str, Any]) -> None:
        if self._screen.verbose:
            self._screen.note(f"[{told['step']}] {told['text'].strip()}")

    def _item(self, told: dict[str, Any]) -> None:
        self._items += 1
        title = told["value"].get("title") if isinstance(told["value"], dict) else None
        said = f": {title}" if title else ""
        self._screen.status(f"{self._doing}, {told['path'].partition('/')[0]} {self._items}{said}")

    def _restarted(self, told: dict[str, Any]) -> None:
        self._items = 0
        self._screen.note(f"the answer begins anew ({told['reason']}); what came before is void")
