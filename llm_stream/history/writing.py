"""A finished run on its way into llm's tables and ours."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from llm_stream.cache.stored import Stored
from llm_stream.engine.runinfo import RunStatistics
from llm_stream.history import ledger, logbook, sidetable, turns
from llm_stream.history.database import Store
from llm_stream.history.packing import pack
from llm_stream.history.reading import Reading
from llm_stream.history.responses import response_of
from llm_stream.history.rows import Rows, rows_of
from llm_stream.history.spending import spent_by
from llm_stream.recipes.spec import dump_spec

ROW_BYTES: Final = 1000
"""What a run takes beside its texts and its answer's entry."""

TEXTS: Final = 6
"""How many bytes llm takes for one of a text, at most: message, turn, search index."""


class Prepared(NamedTuple):
    """What is to be written of a run; without `logged` its calls are logged on their own.

    `rows` are those of `logged`; None: llm has to make them itself. `title` is the id and the name
    of the run's thread; None: that is another run's.
    """

    row: sidetable.Row
    account: ledger.Entry
    logged: turns.Logged | None
    rows: Rows | None
    title: tuple[str, str] | None


class Writing:
    """A run into llm's tables and ours.

    Args:
        finished: the run.
        fresh_seconds, stale_seconds: how long its answer may be given, unless its request says.

    Attributes:
        prepared: what is to be written, once that is known.
    """

    optional, runs = True, 1

    def __init__(
        self, finished: turns.Finished, fresh_seconds: float, stale_seconds: float
    ) -> None:
        self._finished = finished
        self._fresh_seconds = finished.spec.cache.ttl_seconds or fresh_seconds
        self._stale_seconds = stale_seconds
        self.prepared: Prepared | None = None
        self.name = finished.run.id
        self.size = finished.size

    def prepare(self) -> None:
        """See `Job`."""
        if self.prepared is not None:  # tried before
            return
        finished = self._finished
        run = finished.run
        reading, figures = Reading(run), run.statistics()
        thread = turns.thread_id(run.id, run.info.parent), turns.thread_name(finished)
        logged = None
        if run.info.recipe not in turns.UNLOGGED:
            logged = turns.logged_of(finished, reading.fold, figures, *thread)
        self.prepared = Prepared(
            row=self._row(reading, figures, None if logged is None else logged.id),
            account=self._accounted(reading, figures),
            logged=logged,
            rows=rows_of(logged) if logged is not None and logbook.llm_is_known() else None,
            title=thread if run.info.parent is None else None,
        )

    def _row(
        self, reading: Reading, figures: RunStatistics, response_id: str | None
    ) -> sidetable.Row:
        finished, fold = self._finished, reading.fold
        run = finished.run
        entry = self._entry(reading)
        packed = None if entry is None else pack(entry)
        ended_early = run.state != "completed"
        return sidetable.Row(
            run=run.id,
            response_id=response_id,
            fingerprint=run.info.key,
            recipe=run.info.recipe,
            model=run.info.model,
            status=run.state,
            error_code=turns.error_code(fold),
            partial=ended_early and bool(fold.text or fold.items),
            created_at=run.info.created_at,
            ended_at=finished.ended_at,
            total_ms=figures.total_ms,
            owner=run.info.owner,
            parent=run.info.parent,
            expires_at=finished.ended_at + self._fresh_seconds + self._stale_seconds,
            size=ROW_BYTES + TEXTS * turns.texts(finished, fold) + len(packed or b""),
            entry=packed,
            names=() if entry is None else tuple(entry.marks),
        )

    def _accounted(self, reading: Reading, figures: RunStatistics) -> ledger.Entry:
        finished = self._finished
        spec, info = finished.spec, finished.run.info
        return ledger.Entry(
            run=info.id,
            ended_at=finished.ended_at,
            recipe=spec.origin or info.recipe,
            model=info.model,
            tier=spec.tier,
            owner=info.owner,
            hidden=bool(spec.origin) or info.parent is not None,
            status=finished.run.state,
            total_ms=figures.total_ms,
            first_token_ms=figures.first_token_ms,
            spent=spent_by(spec, info, reading.payloads),
        )

    def _entry(self, reading: Reading) -> Stored | None:
        finished = self._finished
        # As in the cache: what a fallback said is not kept under the name that was asked.
        if finished.marks is None or finished.run.state != "completed" or finished.run.substituted:
            return None
        return Stored(
            recording=reading.recording(),
            request=dump_spec(finished.spec),
            marks=finished.marks,
            fresh_seconds=self._fresh_seconds,
            stored_at=finished.ended_at,
        )

    def write(self, store: Store, others: Sequence[Self]) -> None:
        """See `Job`."""
        prepared = [job.prepared for job in (self, *others) if job.prepared is not None]
        connection = store.db.conn
        if store.known:
            logbook.write(connection, [each.rows for each in prepared if each.rows is not None])
        else:
            with store.db.steady():
                for each in prepared:
                    _log(store, each)
        # Inner runs ended before the one that asked for them, and began its thread.
        logbook.name_threads(connection, [each.title for each in prepared if each.title])
        sidetable.write(connection, [each.row for each in prepared])
        ledger.write(connection, [each.account for each in prepared])

    def done(self) -> None:
        """See `Job`."""


def _log(store: Store, prepared: Prepared) -> None:
    logged = prepared.logged
    if logged is not None:
        store.ensure_thread(logged.thread, logged.name)
        store.log(response_of(logged), logged.thread)
