"""The cache in front of every model call: completed runs by fingerprint."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, NamedTuple, get_args

from llm_stream.cache.names import names_of
from llm_stream.cache.savings import Price, Savings
from llm_stream.cache.secondlevel import Behind, SecondLevel
from llm_stream.cache.shelf import Shelf
from llm_stream.cache.stored import Stored
from llm_stream.cache.writes import Writes
from llm_stream.engine.recording import Recording
from llm_stream.engine.run import Run
from llm_stream.errors import CacheUnavailable
from llm_stream.recipes.spec import RunSpec, dump_spec

log = logging.getLogger(__name__)

Policy = Literal["all", "repeatable", "none"]
"""What is kept: every answer, those whose call is repeatable (`RunSpec.repeatable`), or none."""

Count = Literal["hits", "misses", "stale", "stored", "restored", "dropped", "faults"]

WARN_SECONDS: Final = 60.0
"""At most one warning of a fault in that time."""


class Lookup(NamedTuple):
    """What the cache has for a request.

    `marks` are what an answer computed now would carry, None if it will not be kept.
    """

    entry: Stored | None = None
    stale: bool = False
    marks: Mapping[str, int] | None = None


class AnswerCache:
    """Finds and keeps answers. A fault of the backend is a miss, never an error of a request.

    Args:
        shelf: where entries are.
        ttl_seconds: how long an answer is fresh unless its request says otherwise.
        stale_seconds: how long beyond that it may still be given, while it is computed anew.
        policy: what is kept.
        prices: what a million tokens of a model cost, by its id.
        label_of: what a model is called in the savings, by its id.
        second: asked on a miss, told of everything that is dropped.

    Attributes:
        counts: what happened so far, by `Count`.
        savings: what hits did not cost.
    """

    def __init__(  # noqa: PLR0913 - what an operator can say of it
        self,
        shelf: Shelf,
        *,
        ttl_seconds: float,
        stale_seconds: float = 0,
        policy: Policy = "all",
        prices: Mapping[str, Price] | None = None,
        label_of: Callable[[str], str] = str,
        second: SecondLevel | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shelf = shelf
        self.counts: Counter[Count] = Counter()
        self.savings = Savings(prices or {}, label_of)
        self._ttl_seconds = ttl_seconds
        self._stale_seconds = stale_seconds
        self._policy = policy
        self._behind = Behind(second, shelf, stale_seconds)
        self._clock = clock
        self._quiet_until = 0.0
        self._writes = Writes(shelf, partial(self._fault, "write"))

    def used_by(self, spec: RunSpec) -> bool:
        """Whether this request's answer may come from, and go into, the cache."""
        if spec.cache.mode == "bypass":
            return False
        return self._policy == "all" or (self._policy == "repeatable" and spec.repeatable)

    async def find(self, spec: RunSpec, key: str) -> Lookup:
        """The answer to this request, if there is one; never for mode `refresh`."""
        if not self.used_by(spec):
            return Lookup()
        # What is being written may have got there by the time the answer is here, which is older.
        pending = self._writes.get(key)
        try:
            entry, marks = await self.shelf.read(key, names_of(spec))
            if (pending := self._writes.get(key) or pending) is not None:
                entry = await self._valid(pending) or entry
            if entry is None and spec.cache.mode != "refresh":
                entry = await self._restore(key)
        except CacheUnavailable as error:
            self._fault("read", error)
            entry, marks = self._writes.get(key), {}
        if entry is None or entry.recording.key != key or entry.recording.owner != spec.owner:
            return Lookup(marks=marks or None)
        if spec.cache.mode == "refresh":
            # What it replaces can be invalidated by its own names; so can what replaces it.
            return Lookup(marks={**entry.marks, **marks})
        age = entry.age_seconds
        if marks != entry.marks and not marks.keys() <= entry.marks.keys():
            entry = replace(entry, marks={**marks, **entry.marks})
            self._writes.put(key, entry, entry.fresh_seconds + self._stale_seconds - age)
        stale = bool(self._stale_seconds) and age > entry.fresh_seconds
        self.counts["stale" if stale else "hits"] += 1
        self.savings.add(entry.recording)
        return Lookup(entry, stale, {**entry.marks, **marks} if stale else marks)

    def at_hand(self, spec: RunSpec, key: str) -> Stored | None:
        """The fresh answer to this request, if there is one in this process; `find` else.

        It counts as given.
        """
        if spec.cache.mode == "refresh" or not self.used_by(spec) or self._writes.get(key):
            return None
        entry = self.shelf.at_hand(key, names_of(spec))
        if entry is None or entry.recording.key != key or entry.recording.owner != spec.owner:
            return None
        if self._stale_seconds and entry.age_seconds > entry.fresh_seconds:
            return None
        self.counts["hits"] += 1
        self.savings.add(entry.recording)
        return entry

    async def _valid(self, entry: Stored | None) -> Stored | None:
        """The answer that is on its way to the shelf, unless there is none or it is void."""
        if entry is None:
            return None
        _, marks = await self.shelf.read("", list(entry.marks))
        return entry if marks == entry.marks else None

    async def _restore(self, key: str) -> Stored | None:
        """The answer from the second level, back on the shelf."""
        if not self._behind.exists:
            return None
        found = await self._behind.find(key)
        if found is None or self._writes.get(key):
            # An equal request may have been answered meanwhile; only one calls a model.
            entry, _ = await self.shelf.read(key, ())
            return await self._valid(self._writes.get(key)) or entry
        self.counts["restored"] += 1
        self._writes.put(key, found.entry, found.seconds)
        return found.entry

    def missed(self) -> None:
        """A model is called because there was no answer."""
        self.counts["misses"] += 1

    def keep(self, spec: RunSpec, run: Run, marks: Mapping[str, int]) -> None:
        """Keep the answer of a run that has ended; only if it has completed.

        An answer of a fallback model is not kept under the name of the model that was asked.
        Called from the run's end: from this moment on `find` has it.
        """
        if run.state != "completed" or run.substituted:
            return
        seconds = spec.cache.ttl_seconds or self._ttl_seconds
        entry = Stored(
            recording=Recording.of(run, lazily=not self.shelf.shared),
            request=dump_spec(spec),
            marks=marks,
            fresh_seconds=seconds,
        )
        self._writes.put(
            run.info.key,
            entry,
            seconds + self._stale_seconds,
            lambda: self.counts.update(["stored"]),
        )

    async def settled(self) -> None:
        """Return when what was kept so far is on the shelf, or has failed to get there."""
        await self._writes.settled()

    async def entry(self, key: str, owner: str) -> Stored | None:
        """The entry of that key, if it is this owner's."""
        await self.settled()
        entry, _ = await self.shelf.read(key, ())
        entry = entry or await self._restore(key)
        return entry if entry is not None and entry.recording.owner == owner else None

    async def drop(self, keys: Sequence[str]) -> int:
        """Drop entries; how many there were."""
        # There first, or what leaves the shelf could come back in between.
        forgotten = await self._behind.forget(keys)
        await self.settled()
        # The second level has what is on the shelf, and more.
        dropped = max(forgotten, await self.shelf.drop(keys))
        self.counts["dropped"] += dropped
        return dropped

    async def invalidate(self, name: str, *, older_than_seconds: float = 0) -> int:
        """Drop what is under a name (`names_of`), or only what is that old; how many there were.

        Without an age, answers being computed at this moment are void as well.
        """
        forgotten = await self._behind.forget(name=name, older_than_seconds=older_than_seconds)
        await self.settled()
        if older_than_seconds:
            total = await self._drop_old(name, older_than_seconds)
        else:
            total = await self.shelf.bump(name)
        total = max(forgotten, total)
        self.counts["dropped"] += total
        return total

    async def _drop_old(self, name: str, seconds: float) -> int:
        total = 0
        while keys := await self.shelf.older(name, seconds, limit=1000):
            total += await self.shelf.drop(keys, name)
        return total

    @property
    def resting(self) -> bool:
        """Whether the backend has just failed and is left alone for a moment."""
        return self.shelf.resting

    def statistics(self) -> dict[str, Any]:
        """What happened since the start, and how much is kept; `hit_rate` is 0 to 1, or None."""
        counts, volume = self.counts, self.shelf.volume()
        given = counts["hits"] + counts["stale"]
        asked = given + counts["misses"]
        return {
            **{name: counts[name] for name in get_args(Count)},
            "hit_rate": round(given / asked, 4) if asked else None,
            **volume._asdict(),
            "tokens_saved": self.savings.tokens.total(),
            "cost_saved": round(sum(self.savings.cost.values()), 6),
        }

    def _fault(self, what: str, error: CacheUnavailable) -> None:
        self.counts["faults"] += 1
        if self._clock() > self._quiet_until:
            self._quiet_until = self._clock() + WARN_SECONDS
            log.warning("cache %s failed: %s", what, error.detail)

    async def close(self) -> None:
        """Finish the writes, let go of the shelf; nothing is kept any more by then."""
        await self.settled()
        await self.shelf.close()
