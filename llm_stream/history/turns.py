"""A finished run as a turn of a conversation: what llm's tables say of it.

The system prompt stands among the messages, because llm logs it only there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson
from llm.serialization import MessageDict

from llm_stream.engine.fold import Fold
from llm_stream.engine.recording import DECODED
from llm_stream.engine.run import Run
from llm_stream.engine.runinfo import RunStatistics
from llm_stream.models.prompting import turns_for_llm
from llm_stream.models.toolset import Toolset
from llm_stream.naming import ulid
from llm_stream.recipes.spec import RunSpec

UNLOGGED: Final = frozenset({"batch"})
"""Recipes whose calls are all logged on their own, by the runs they consist of."""

PROVIDERS: Final = "provider_metadata"


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended, on its way to the database.

    The run's log is sealed, so that another thread may read it. `marks` is None where the answer
    is not to be found again; `ended_at` is in seconds since 1970. `turn` is llm's id of it, which
    sorts by the time as llm's own do.
    """

    spec: RunSpec
    run: Run
    marks: Mapping[str, int] | None
    ended_at: float
    turn: str = field(default_factory=lambda: ulid().lower())

    @property
    def size(self) -> int:
        """Bytes it keeps in memory, about."""
        return 1000 + _asked(self.spec) + self.run.log.bytes + self.run.tally.said_chars


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


class Logged(NamedTuple):
    """A run in llm's words.

    `name` is its thread's, `began_at` in seconds since 1970.
    """

    id: str
    thread: str
    name: str
    model: str
    resolved_model: str | None
    asked: Sequence[MessageDict]
    answered: Sequence[Any]
    options: Mapping[str, Any]
    schema: Mapping[str, Any] | None
    tools: Toolset | None
    about: Mapping[str, Any]
    input_tokens: int | None
    output_tokens: int | None
    total_ms: int
    began_at: float


def logged_of(
    finished: Finished, fold: Fold, figures: RunStatistics, thread: str, name: str
) -> Logged:
    """The run in llm's words.

    Args:
        finished: the run.
        fold: its events.
        figures: its statistics.
        thread: the id of its conversation.
        name: and that one's name.
    """
    spec, run = finished.spec, finished.run
    answered_by = fold.usage[-1]["model"] if fold.usage else None
    return Logged(
        id=finished.turn,
        thread=thread,
        name=name,
        model=spec.model,
        resolved_model=None if answered_by == spec.model else answered_by,
        asked=asked(spec),
        answered=answered(fold),
        options=spec.options,
        schema=spec.schema,
        tools=spec.tools,
        about=about(finished, fold),
        input_tokens=figures.input_tokens,
        output_tokens=figures.output_tokens,
        total_ms=figures.total_ms,
        began_at=run.info.created_at,
    )


def moment(at: float) -> str:
    """A moment, seconds since 1970, as a turn tells it."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def now() -> str:
    """This moment, as a thread tells when it was begun."""
    return str(datetime.now(UTC))


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


def asked(spec: RunSpec) -> list[MessageDict]:
    """The prompt: the messages, or for a recipe with input of its own that as JSON."""
    if all(m.role != "tool" and not m.attachments and not m.tool_calls for m in spec.messages):
        messages = [_said(message.role, message.content) for message in spec.messages]
    else:
        messages = [message.to_dict() for message in turns_for_llm(spec.messages)]
    if spec.input is not None:
        material = orjson.dumps(dict(spec.input), option=orjson.OPT_INDENT_2).decode()
        messages.append(_said("user", material))
    return messages


def _said(role: str, text: str) -> MessageDict:
    return {"role": role, "parts": [{"type": "text", "text": text}]}


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
