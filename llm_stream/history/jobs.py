"""What the writer is given to do: write a run, forget answers, count calls that cost nothing."""

import sqlite3
from collections.abc import Callable, Mapping

from llm.logs import LogStore

from llm_stream.cache.stored import Stored
from llm_stream.engine.fold import Fold
from llm_stream.engine.recording import Recording
from llm_stream.history import ledger, sidetable, turns
from llm_stream.history.spending import spent_by
from llm_stream.recipes.spec import dump_spec

ROW_BYTES = 1000
"""What a run takes beside its texts and its answer's entry."""

TEXTS = 6
"""How many bytes llm takes for one of a text, at most: message, turn, search index."""


class Writing:
    """A run into llm's tables and ours.

    Args:
        finished: the run.
        fresh_seconds, stale_seconds: how long its answer may be given, unless its request says.
    """

    optional, runs = True, 1

    def __init__(
        self, finished: turns.Finished, fresh_seconds: float, stale_seconds: float
    ) -> None:
        self._finished = finished
        self._fresh_seconds = finished.spec.cache.ttl_seconds or fresh_seconds
        self._stale_seconds = stale_seconds
        self._response: turns.LoggedResponse | None = None
        self._row: sidetable.Row | None = None
        self._account: ledger.Entry | None = None
        self.size = finished.size

    def prepare(self) -> None:
        """See `Job`."""
        if self._row is not None:  # tried before
            return
        finished = self._finished
        run = finished.run
        fold = Fold(run.events())
        entry = self._entry()
        packed = None if entry is None else sidetable.pack(entry)
        ended_early = run.state != "completed"
        if run.info.recipe not in turns.UNLOGGED:
            self._response = turns.response_of(finished, fold)
        self._account = self._accounted()
        self._row = sidetable.Row(
            run=run.id,
            fingerprint=run.info.key,
            recipe=run.info.recipe,
            model=run.info.model,
            status=run.state,
            error_code=turns.error_code(fold),
            partial=ended_early and bool(fold.text or fold.items),
            created_at=run.info.created_at,
            ended_at=finished.ended_at,
            total_ms=run.statistics().total_ms,
            owner=run.info.owner,
            parent=run.info.parent,
            expires_at=finished.ended_at + self._fresh_seconds + self._stale_seconds,
            size=ROW_BYTES + TEXTS * turns.texts(finished, fold) + len(packed or b""),
            entry=packed,
            names=() if entry is None else tuple(entry.marks),
        )

    def _accounted(self) -> ledger.Entry:
        finished = self._finished
        spec, run = finished.spec, finished.run
        figures = run.statistics()
        return ledger.Entry(
            run=run.id,
            ended_at=finished.ended_at,
            recipe=spec.origin or run.info.recipe,
            model=run.info.model,
            tier=spec.tier,
            owner=run.info.owner,
            hidden=bool(spec.origin) or run.info.parent is not None,
            status=run.state,
            total_ms=figures.total_ms,
            first_token_ms=figures.first_token_ms,
            spent=spent_by(spec, run),
        )

    def _entry(self) -> Stored | None:
        finished = self._finished
        # As in the cache: what a fallback said is not kept under the name that was asked.
        if finished.marks is None or finished.run.state != "completed" or finished.run.substituted:
            return None
        return Stored(
            recording=Recording.of(finished.run),
            request=dump_spec(finished.spec),
            marks=finished.marks,
            fresh_seconds=self._fresh_seconds,
            stored_at=finished.ended_at,
        )

    def write(self, store: LogStore) -> None:
        """See `Job`."""
        if self._row is None or self._account is None:
            return
        response_id = None
        info = self._finished.run.info
        thread, name = turns.thread_id(info.id, info.parent), turns.thread_name(self._finished)
        if self._response is not None:
            store.ensure_thread(thread, name)
            response_id = store.log(self._response, thread)
        if info.parent is None:  # its inner runs ended before it, and began the thread
            store.db.conn.execute("UPDATE threads SET name = ? WHERE id = ?", [name, thread])
        sidetable.write(store.db.conn, self._row, response_id)
        ledger.write(store.db.conn, self._account)

    def done(self) -> None:
        """See `Job`."""


class Forgetting:
    """Answers that are to be found no more.

    Args:
        forget: does it; how many there were.
        tell: told how many, once they are gone for good.
    """

    optional, runs = False, 0
    size = 0

    def __init__(
        self, forget: Callable[[sqlite3.Connection], int], tell: Callable[[int], object]
    ) -> None:
        self._forget = forget
        self._tell = tell
        self._count = 0

    def prepare(self) -> None:
        """See `Job`."""

    def write(self, store: LogStore) -> None:
        """See `Job`."""
        self._count = self._forget(store.db.conn)

    def done(self) -> None:
        """See `Job`."""
        self._tell(self._count)


class Naming:
    """Another name of a recorded run: that of one which has given its answer again.

    Args:
        run: the name.
        recorded: the recorded run's.
    """

    optional, runs = True, 0
    size = ROW_BYTES

    def __init__(self, run: str, recorded: str) -> None:
        self._run = run
        self._recorded = recorded

    def prepare(self) -> None:
        """See `Job`."""

    def write(self, store: LogStore) -> None:
        """See `Job`."""
        sidetable.rename(store.db.conn, self._run, self._recorded)

    def done(self) -> None:
        """See `Job`."""


class Counting:
    """Calls that cost nothing, into the account; also a mark that says what is written so far.

    Args:
        reused: how many there were.
        tell: told once they, and all that was queued before, are written.
    """

    optional, runs = False, 0
    size = 0

    def __init__(
        self, reused: Mapping[ledger.Reuse, ledger.Reused], tell: Callable[[], object]
    ) -> None:
        self._reused = reused
        self._tell = tell

    def prepare(self) -> None:
        """See `Job`."""

    def write(self, store: LogStore) -> None:
        """See `Job`."""
        ledger.add(store.db.conn, self._reused)

    def done(self) -> None:
        """See `Job`."""
        self._tell()
