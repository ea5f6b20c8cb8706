"""Runs that have ended, to be listed and looked at long after their events are gone."""

import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NamedTuple

from llm_stream.history import snapshots
from llm_stream.history.reader import Reader
from llm_stream.history.snapshots import Line, Snapshot

ANSWER_SECONDS: Final = 5.0
"""What takes longer is given up."""


class Asked(NamedTuple):
    """Which runs: whose, at most so many, before that one, of that recipe and in that state."""

    owner: str
    limit: int
    before: str | None = None
    recipe: str | None = None
    state: str | None = None


class Past:
    """Reads in the reader's thread.

    Args:
        reader: it.
        settled: returns when what has ended so far is written, or after a moment.
    """

    def __init__(self, reader: Reader, settled: Callable[[], Awaitable[None]]) -> None:
        self._reader = reader
        self._settled = settled

    async def newest(self, asked: Asked) -> list[Line]:
        """Runs that callers asked for, newest first.

        Raises:
            HistoryUnavailable: the database does not answer.
        """
        await self._settled()
        return await self._reader.told(partial(newest, asked=asked), ANSWER_SECONDS) or []

    async def run(self, run: str, owner: str) -> Snapshot | None:
        """What is recorded of one run of theirs; None: it is not there.

        Raises:
            HistoryUnavailable: the database does not answer.
        """
        await self._settled()
        question = partial(snapshots.find, run=run, owner=owner)
        return await self._reader.told(question, ANSWER_SECONDS)


def newest(connection: sqlite3.Connection, asked: Asked) -> list[Line]:
    """The lines of these runs; inner ones are none of them."""
    wanted: dict[str, Any] = {
        "run < ?": asked.before,
        "recipe = ?": asked.recipe,
        "status = ?": asked.state,
    }
    given = {term: value for term, value in wanted.items() if value is not None}
    terms = "".join(f" AND {term}" for term in given)
    # Chosen before the other tables are looked at: those are read for what is shown only.
    chosen = (
        "SELECT run FROM llm_stream_runs"  # noqa: S608 - terms of this file
        f" WHERE owner = ? AND parent IS NULL{terms} ORDER BY run DESC LIMIT ?"
    )
    found = connection.execute(
        f"{snapshots.LINES} WHERE runs.run IN ({chosen}) ORDER BY runs.run DESC",
        [asked.owner, *given.values(), asked.limit],
    )
    return [snapshots.line_of(row) for row in found]
