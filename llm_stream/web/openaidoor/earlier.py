"""What responses were asked, so that others can go on from them by `previous_response_id`.

A run does not keep what it was asked. It is noted here when a response begins, and in Redis where
there is one; the history has it of every run.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from llm_stream.engine.directory import RunDirectory
from llm_stream.engine.fold import Fold
from llm_stream.engine.notes import SharedNotes
from llm_stream.engine.replay import Replay
from llm_stream.engine.run import Run
from llm_stream.errors import InvalidField, LogUnavailable, RunExpired, UnknownRun
from llm_stream.history.conversations import Conversation
from llm_stream.history.history import History
from llm_stream.models.chunks import Message
from llm_stream.models.toolset import ToolCall
from llm_stream.recipes.spec import RunSpec
from llm_stream.web.openaidoor.replies import text_of
from llm_stream.web.openaidoor.responsesreplies import run_id

MAX_BYTES: Final = 67_108_864
"""Of all that is noted here; beyond, the oldest is left to Redis and the history."""

NOTE_BYTES: Final = 1000
"""What a note takes beside its JSON, about."""

FIELD: Final = "previous_response_id"


class Noted(NamedTuple):
    """What a response was asked, and what it tells of the request."""

    asked: Conversation
    told: dict[str, Any]


class _Note(NamedTuple):
    until: float
    data: bytes
    """As JSON: decoded it may take many times the room."""


_NOTES: Final = TypeAdapter(Noted)


class Earlier:
    """What can be gone on from.

    Args:
        runs: finds answers.
        seconds: how long an ended run is kept.
        history: what ended runs are found in beyond that; None: there is none.
        shared: where other replicas note theirs; None: there are none.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        runs: RunDirectory,
        seconds: float,
        history: History | None = None,
        shared: SharedNotes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = runs
        self._seconds = seconds
        self._history = history
        self._shared = shared
        self._clock = clock
        self._notes: OrderedDict[str, _Note] = OrderedDict()
        self._bytes = 0

    def note(self, run: Run, spec: RunSpec, told: dict[str, Any]) -> None:
        """Note what a response is asked, and what it tells of the request."""
        if run.id in self._notes:
            return  # joined, or by a key: it is the same question
        if self._history is not None and isinstance(run, Replay):
            self._history.conversations.said_again(run.id, run.recording.run)
        data = _NOTES.dump_json(Noted(Conversation(spec.messages, spec.instructions), told))
        # An answer is kept from its end on, and may take as long to be made.
        self._notes[run.id] = _Note(self._clock() + 2 * self._seconds, data)
        self._bytes += NOTE_BYTES + len(data)
        while self._notes and (
            self._bytes > MAX_BYTES or next(iter(self._notes.values())).until < self._clock()
        ):
            _, gone = self._notes.popitem(last=False)
            self._bytes -= NOTE_BYTES + len(gone.data)
        if self._shared is not None:
            self._shared.note(run.id, data)

    async def told(self, run: Run) -> dict[str, Any]:
        """What a response tells of its request; nothing where that is not known any more."""
        with suppress(LogUnavailable):
            if (noted := await self._noted(run.id)) is not None:
                return noted.told
        return {}

    async def conversation(self, response: str, owner: str) -> tuple[Message, ...]:
        """The turns of an earlier response and its answer, without what held for it alone.

        Raises:
            UnknownRun: it is not kept any more, never was, or is another owner's.
            InvalidField: it has not been completed (the caller's doing).
            LogUnavailable, HistoryUnavailable: nobody can tell now.
        """
        run = run_id(response)
        try:
            found = await self._kept(run, owner)
        except LogUnavailable:
            if (found := await self._recorded(run, owner)) is None:
                raise
        found = found or await self._recorded(run, owner)
        if found is None:
            raise UnknownRun(
                f"There is no response {response[:100]!r} to go on from. It is kept for "
                "runs.retention_seconds, and in the history where there is one.",
                field=FIELD,
            )
        return _without_instructions(found)

    async def _kept(self, run_id: str, owner: str) -> Conversation | None:
        """A run that can still be read, where it is known what it was asked."""
        try:
            run = await self._runs.find(run_id, owner)
        except (UnknownRun, RunExpired):
            return None
        if run.info.recipe != "generate":
            return None
        if run.state != "completed":
            raise InvalidField(
                f"Only a response that has been completed can be gone on from; this one is "
                f"{run.state if run.done else 'in progress'}.",
                field=FIELD,
            )
        noted = await self._noted(run_id)
        if noted is None or run.log.holed:
            return None
        return noted.asked._replace(messages=(*noted.asked.messages, _answer(run)))

    async def _noted(self, run_id: str) -> Noted | None:
        if (note := self._notes.get(run_id)) is not None:
            return _NOTES.validate_json(note.data)
        data = None if self._shared is None else await self._shared.read(run_id)
        try:
            return None if data is None else _NOTES.validate_json(data)
        except ValidationError:  # another version of the service has written it
            return None

    async def _recorded(self, run_id: str, owner: str) -> Conversation | None:
        if self._history is None:
            return None
        return await self._history.conversations.find(run_id, owner)


def _answer(run: Run) -> Message:
    fold = Fold(run.events())
    calls = (
        ToolCall(
            call["tool_call_id"], call["name"], call["arguments"], call.get("provider_metadata")
        )
        for call in fold.tool_calls
    )
    text = text_of(fold, structured=run.info.structured)
    return Message("assistant", text, tool_calls=tuple(calls))


def _without_instructions(found: Conversation) -> tuple[Message, ...]:
    """The turns without the instructions, which begin the system prompt."""
    first, *rest = found.messages
    if not found.instructions or first.role != "system":
        return found.messages
    # What was joined to them stands behind a blank line.
    left = first.content[found.instructions :].removeprefix("\n\n")
    return (replace(first, content=left), *rest) if left else tuple(rest)
