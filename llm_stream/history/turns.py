"""A finished run as llm logs one.

The run becomes a real `llm.Response`, made by its public `from_dict`, and llm's own `LogStore.log`
writes it: hashes, deduplicated messages and the search index are llm's business. A subclass says
when it happened and how long it took, which `from_dict` does not take. The system prompt stands
among the messages, because llm logs it only there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import llm
import orjson
from llm.serialization import MessageDict, ResponseDict
from pydantic import ConfigDict

from llm_stream.engine.fold import Fold
from llm_stream.engine.recording import DECODED
from llm_stream.engine.run import Run
from llm_stream.models.prompting import declared, turns_for_llm
from llm_stream.recipes.spec import RunSpec

UNLOGGED: Final = frozenset({"batch"})
"""Recipes whose calls are all logged on their own, by the runs they consist of."""

PROVIDERS: Final = "provider_metadata"


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended, on its way to the database.

    The run's log is sealed, so that another thread may read it. `marks` is None where the answer
    is not to be found again; `ended_at` is in seconds since 1970.
    """

    spec: RunSpec
    run: Run
    marks: Mapping[str, int] | None
    ended_at: float

    @property
    def size(self) -> int:
        """Bytes it keeps in memory, about."""
        return 1000 + _asked(self.spec) + self.run.log.bytes


def _asked(spec: RunSpec) -> int:
    """Bytes of what was asked, decoded, about; of a batch all its requests."""
    texts = sum(
        message.chars + sum(len(each.content) for each in message.attachments)
        for message in spec.messages
    )
    given = 0 if spec.input is None else DECODED * len(orjson.dumps(dict(spec.input)))
    given += 0 if spec.tools is None else DECODED * len(orjson.dumps(spec.tools))
    return texts + given + sum(_asked(child) for child in spec.children)


def texts(finished: Finished, fold: Fold) -> int:
    """Characters of what was asked and answered."""
    asked = sum(message.chars for message in finished.spec.messages)
    return asked + sum(map(len, fold.text)) + sum(map(len, fold.reasoning))


class LoggedModel(llm.Model):
    """The name under which an answer is logged, and whatever options it was made with."""

    class Options(llm.Options):
        """Options as they were sent."""

        model_config = ConfigDict(extra="allow")

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id

    def execute(self, *_: Any, **__: Any) -> Iterator[str]:
        """Refuse to go on from a logged answer: only its model's name is known here.

        Raises:
            llm.ModelError: always (whoever asks has to take the model itself).
        """
        raise llm.ModelError(f"This is {self.model_id} as it was logged. Ask the model itself.")


class LoggedResponse(llm.Response):
    """An answer with the times of its run.

    Attributes:
        began_at: seconds since 1970.
        total_ms: how long it took.
    """

    began_at: float = 0.0
    total_ms: int = 0

    def duration_ms(self) -> int:
        """How long it took."""
        return self.total_ms

    def datetime_utc(self) -> str:
        """When it began."""
        return datetime.fromtimestamp(self.began_at, UTC).isoformat()


def thread_id(run_id: str, parent: str | None) -> str:
    """The conversation of a run: its own, or its parent's; a lower-case ULID as llm sorts by."""
    return (parent or run_id).removeprefix("run_").lower()


def thread_name(finished: Finished) -> str:
    """What `llm logs` shows as the conversation's name; says so if the run did not end well."""
    run = finished.run
    title = run.info.title if run.info.recipe == "generate" else f"{run.info.recipe}: " + (
        run.info.title
    )  # fmt: skip
    return title if run.state == "completed" else f"[{run.state}] {title}"


def response_of(finished: Finished, fold: Fold) -> LoggedResponse:
    """The run as a response with an id of its own.

    Args:
        finished: the run.
        fold: its events.
    """
    spec, run = finished.spec, finished.run
    figures = run.statistics()
    data: ResponseDict = {
        "model": spec.model,
        "prompt": {"messages": asked(spec), "options": dict(spec.options)},
        "messages": [{"role": "assistant", "parts": answered(fold)}],
    }
    response = LoggedResponse.from_dict(data, model=LoggedModel(spec.model))
    assert isinstance(response, LoggedResponse)  # noqa: S101 - `from_dict` is annotated with its base
    response.began_at = run.info.created_at
    response.total_ms = figures.total_ms
    response.prompt.tools = list(declared(spec.tools))
    response.prompt.schema = None if spec.schema is None else dict(spec.schema)
    response.response_json = {"llm_stream": about(finished, fold)}
    response.set_usage(input=figures.input_tokens, output=figures.output_tokens)
    if fold.usage and (model := fold.usage[-1]["model"]) != spec.model:
        response.set_resolved_model(model)
    return response


def asked(spec: RunSpec) -> list[MessageDict]:
    """The prompt: the messages, or for a recipe with input of its own that as JSON."""
    messages = [message.to_dict() for message in turns_for_llm(spec.messages)]
    if spec.input is not None:
        material = orjson.dumps(dict(spec.input), option=orjson.OPT_INDENT_2).decode()
        messages.append({"role": "user", "parts": [{"type": "text", "text": material}]})
    return messages


def answered(fold: Fold) -> list[Any]:
    """What was said: reasoning, then the text (or the result as JSON), then calls of tools."""
    parts: list[Any] = []
    if fold.reasoning:
        parts.append({"type": "reasoning", "text": "".join(fold.reasoning)})
    text = "".join(fold.text)
    result = (fold.terminal or {}).get("result")
    if not text and result is not None:
        text = orjson.dumps(result, option=orjson.OPT_INDENT_2).decode()
    if not text and fold.items:
        pieces = {item["path"]: item["value"] for item in fold.items}
        text = orjson.dumps(pieces, option=orjson.OPT_INDENT_2).decode()
    parts.append({"type": "text", "text": text})
    for call in fold.tool_calls:
        arguments = call["arguments"]
        parts.append(
            {
                "type": "tool_call",
                "name": call["name"],
                "arguments": arguments if isinstance(arguments, dict) else {"": arguments},
                "tool_call_id": call["tool_call_id"],
                **({PROVIDERS: call[PROVIDERS]} if PROVIDERS in call else {}),
            }
        )
    return parts


def about(finished: Finished, fold: Fold) -> dict[str, Any]:
    """What llm has no column for; `llm logs --json` shows it in `response_json`."""
    run, terminal = finished.run, fold.terminal or {}
    facts = {
        "run": run.id,
        "recipe": run.info.recipe,
        "status": run.state,
        "fingerprint": run.info.key,
        "parent": run.info.parent,
        "template": run.info.template,
        "finish_reason": terminal.get("finish_reason"),
        "error": error_code(fold),
        "instructions": finished.spec.instructions or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def error_code(fold: Fold) -> str | None:
    """Why a run did not end well: an error's code, or the reason of a cancel."""
    terminal = fold.terminal or {}
    code = terminal["error"].get("code") if "error" in terminal else terminal.get("reason")
    return None if code is None else str(code)
