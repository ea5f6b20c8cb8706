"""The spans of a run, told from its events when it has ended: nothing is paid while it runs.

No text of prompts, answers or errors is in them: names of ours, codes and numbers only.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from llm_stream.engine.run import Run
from llm_stream.errors import OwnerLost
from llm_stream.events import Event, decoded, kind_of, t_ms_of
from llm_stream.payloads import OUTPUT_TYPES, TERMINAL_TYPES

Attributes = dict[str, str | int | float]

CALLING: Final = frozenset({"generate"})
"""Recipes that call models themselves."""


@dataclass(slots=True)
class Span:
    """One span below a run's own; times in milliseconds since the run's creation.

    `client` says that it is a call to somebody else. `error` is a code, "" without one.
    """

    name: str
    begin_ms: float
    end_ms: float
    attributes: Attributes = field(default_factory=dict)
    client: bool = False
    error: str = ""


def root_of(run: Run) -> Span:
    """The span of the whole run."""
    info, figures = run.info, run.statistics()
    attributes: Attributes = {
        "llm_stream.run": run.id,
        "llm_stream.request": info.request,
        "llm_stream.cache": info.cache,
        "llm_stream.outcome": figures.state,
        "llm_stream.attempts": figures.attempts,
        "gen_ai.request.model": info.model,
        "gen_ai.response.model": run.tally.model or info.model,
    }
    for name, value in (
        ("llm_stream.first_token_ms", figures.first_token_ms),
        ("gen_ai.usage.input_tokens", figures.input_tokens),
        ("gen_ai.usage.output_tokens", figures.output_tokens),
    ):
        if value is not None:
            attributes[name] = value
    terminal = decoded(run.log.newest)
    error = terminal["error"]["code"] if figures.state == "failed" else ""
    if figures.state == "cancelled":
        attributes["llm_stream.cancel_reason"] = terminal["reason"]
    return Span(info.recipe, 0, figures.total_ms, attributes, error=error)


def spans_of(run: Run) -> list[Span]:
    """Those below it: the queue, calls of models, steps, in the order in which they end."""
    queued_ms = run.tally.queued_ms
    found = [Span("queue", 0, queued_ms)] if queued_ms else []
    calling = run.info.recipe in CALLING and run.info.cache != "hit" and run.tally.began
    told = Told(run.info.model, queued_ms) if calling else None
    steps: dict[str, int] = {}
    for event in run.events():
        if told is not None:
            found += told.spans(event)
        kind = kind_of(event)
        if kind == "step.started":
            steps[decoded(event)["step"]] = t_ms_of(event)
        elif kind == "step.completed":
            name = decoded(event)["step"]
            found.append(step(name, steps.pop(name, t_ms_of(event)), t_ms_of(event)))
    end_ms = run.statistics().total_ms
    return found + [step(name, begin, end_ms) for name, begin in steps.items()]


def step(name: str, begin_ms: int, end_ms: int) -> Span:
    """The span of a recipe's step; its title is not in it, models write titles."""
    return Span("step", begin_ms, end_ms, {"llm_stream.step": name})


class Told:
    """Follows the calls of models in a run's events.

    Args:
        model: that is asked first.
        begin_ms: when.
    """

    def __init__(self, model: str, begin_ms: float) -> None:
        self._first = self._model = model
        self._begin_ms: float | None = begin_ms
        self._last_ms = begin_ms
        self._attempt = 1

    def spans(self, event: Event) -> Iterable[Span]:
        """The call that this event ends, if it ends one."""
        kind = kind_of(event)
        if kind in OUTPUT_TYPES:
            if self._begin_ms is None:  # another call behind one that was answered: a repair
                self._begin_ms = self._last_ms
            return ()
        match kind:
            case "usage":
                return [self._answered(decoded(event), t_ms_of(event))]
            case "attempt.failed":
                return self._failed(decoded(event), t_ms_of(event))
            case "run.restarted" if decoded(event)["reason"] == OwnerLost.code:
                return self._lost(t_ms_of(event))
            case _ if kind in TERMINAL_TYPES and self._begin_ms is not None:
                payload = decoded(event)
                code = payload["error"]["code"] if "error" in payload else payload.get("reason", "")
                return [self._call(self._begin_ms, t_ms_of(event), {}, code)]
        return ()

    def _answered(self, usage: dict[str, Any], now_ms: int) -> Span:
        attributes: Attributes = {"gen_ai.response.model": usage["model"]}
        for name in ("input_tokens", "output_tokens"):
            if usage[name] is not None:
                attributes[f"gen_ai.usage.{name}"] = usage[name]
        begin = self._last_ms if self._begin_ms is None else self._begin_ms
        self._begin_ms, self._last_ms = None, now_ms
        return self._call(begin, now_ms, attributes)

    def _failed(self, failure: dict[str, Any], now_ms: int) -> list[Span]:
        begin = self._last_ms if self._begin_ms is None else self._begin_ms
        span = self._call(begin, now_ms, {}, failure["error"].get("code", ""))
        following = failure["next"]
        self._begin_ms, self._last_ms = None, now_ms
        if following is not None:
            self._model = following["model"]
            self._attempt += 1
            self._begin_ms = now_ms + following["delay_ms"]
        return [span]

    def _lost(self, now_ms: int) -> list[Span]:
        """The replica that asked is gone; another one asks the first model again."""
        begin = self._begin_ms
        ended = [] if begin is None else [self._call(begin, now_ms, {}, OwnerLost.code)]
        self._model, self._begin_ms, self._last_ms = self._first, now_ms, now_ms
        return ended

    def _call(self, begin: float, end: float, more: Attributes, error: str = "") -> Span:
        attributes: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": self._model,
            "llm_stream.attempt": self._attempt,
            **more,
        }
        return Span(f"chat {self._model}", begin, max(begin, end), attributes, True, error)  # noqa: FBT003 - fields in their order
