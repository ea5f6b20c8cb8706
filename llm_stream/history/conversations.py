"""What a run was asked and has answered, read back from llm's tables, so that it can go on."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import llm
from llm.logs import LogStore
from llm.parts import AttachmentPart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from sqlite_utils import Database

from llm_stream.history.batches import Job
from llm_stream.history.jobs import Naming
from llm_stream.models.chunks import Attachment, Message
from llm_stream.models.pieces import THOUGHTS
from llm_stream.models.toolset import ToolCall


class Conversation(NamedTuple):
    """The turns of a run, its answer the last of them.

    `instructions` is how much of the system prompt held for that answer alone (`RunSpec`).
    """

    messages: tuple[Message, ...]
    instructions: int


Found = Awaitable[Conversation | None]


class Conversations:
    """What runs were asked and have answered.

    Args:
        ask: has a function read the database; raises HistoryUnavailable.
        put: hands a job to the writer.
        settled: returns when what has ended so far is written, or after a moment.
    """

    def __init__(
        self,
        ask: Callable[[Callable[[sqlite3.Connection], "Conversation | None"]], Found],
        put: Callable[[Job], object],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        self._ask = ask
        self._put = put
        self._settled = settled

    async def find(self, run: str, owner: str) -> Conversation | None:
        """The conversation of a completed run of theirs; None: it is not recorded.

        Raises:
            HistoryUnavailable: the database does not answer.
        """
        question = partial(_find, run=run, owner=owner)
        if (found := await self._ask(question)) is not None:
            return found
        await self._settled()  # it has ended a moment ago, perhaps
        return await self._ask(question)

    def said_again(self, run: str, recorded: str) -> None:
        """A run has given the kept answer of a recorded one, and is found as long as that is."""
        self._put(Naming(run, recorded))


def _find(connection: sqlite3.Connection, run: str, owner: str) -> Conversation | None:
    """The conversation of a run that has completed; None if it is not there, or another owner's."""
    row = connection.execute(
        "SELECT turns.tip_message_hash, turns.id FROM llm_stream_runs"
        " JOIN turns ON turns.id = response_id"
        " WHERE run = coalesce((SELECT recorded FROM llm_stream_replays WHERE run = ?), ?)"
        " AND owner = ? AND status = 'completed' AND recipe = 'generate'",
        [run, run, owner],
    ).fetchone()
    if row is None:
        return None
    chain, facts = load(connection, *row)
    if not chain:
        return None
    turns = tuple(turn for message in chain for turn in _turns(message))
    return Conversation(turns, int(facts.get("instructions", 0)))


def load(
    connection: sqlite3.Connection, tip: str, turn: str
) -> tuple[list[llm.parts.Message], dict[str, Any]]:
    """The messages up to that one, and what `turns.about` has kept with the turn.

    Both are empty where somebody has deleted messages by hand.
    """
    # Its constructor would migrate, and this connection only reads; tables are made before it is.
    store = LogStore.__new__(LogStore)
    store.db = Database(connection)
    try:
        chain, about = store.load_chain(tip), store.turn_response_json(turn)
    except (KeyError, ValueError):
        return [], {}
    return chain, about.get("llm_stream", {}) if isinstance(about, dict) else {}


def _turns(message: llm.parts.Message) -> Iterator[Message]:
    """A message as turns: each result of a tool is one of its own."""
    if message.role == "tool":
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                yield Message("tool", part.output, tool_call_id=part.tool_call_id or "")
        return
    parts = message.parts
    role: Any = message.role
    yield Message(
        role,
        "".join(part.text for part in parts if isinstance(part, TextPart)),
        tuple(
            Attachment(part.attachment.type or "", part.attachment.content or b"")
            for part in parts
            if isinstance(part, AttachmentPart) and part.attachment is not None
        ),
        tuple(_calls(parts)),
    )


def _calls(parts: Sequence[llm.parts.Part]) -> Iterator[ToolCall]:
    """The calls of a turn; the first has the signed thoughts, which llm keeps as parts."""
    thoughts = [
        {"text": part.text, "provider_metadata": part.provider_metadata}
        for part in parts
        if isinstance(part, ReasoningPart) and part.provider_metadata
    ]
    for part in parts:
        if isinstance(part, ToolCallPart):
            kept = (part.provider_metadata or {}) | ({THOUGHTS: thoughts} if thoughts else {})
            thoughts = []
            yield ToolCall(part.tool_call_id or "", part.name, part.arguments, kept or None)
