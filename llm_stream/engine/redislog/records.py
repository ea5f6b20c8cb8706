"""What Redis holds of a run, and the commands that write and read it.

All keys of one run have its id as hash tag, so that they are in one slot of a Redis Cluster. A log
is a stream whose ids are the events' cursors: Redis itself refuses an id that is not behind the
last one, and with it whatever an owner of an older epoch still writes.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from llm_stream.engine.chapters import NOWHERE, Place
from llm_stream.engine.redislog.link import Command
from llm_stream.engine.runinfo import RunInfo, RunStatistics, State
from llm_stream.events import Event, cursor_of, kind_of, position_of, recognised

LIVE_MS: Final = 86_400_000
"""How long what belongs to a live run stays if nobody touches it: a day."""

TOMBSTONE_MS: Final = 3_600_000
"""How long after its log is gone it is known that a run was there."""

MAX_LOG_EVENTS: Final = 500_000
"""About how many events a log keeps; its bytes are bounded where it is written."""

PAGE_EVENTS: Final = 1000
"""Most events in one reply."""

MAX_LISTED: Final = 10_000
"""Most runs of one owner in the list."""


class Keys:
    """Names of everything, under one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.replicas = f"{prefix}:replicas"

    def log(self, run: str) -> str:
        """The stream of a run's events."""
        return f"{self._prefix}:{{{run}}}:log"

    def facts(self, run: str) -> str:
        """The hash of what a run is about, and whose it is."""
        return f"{self._prefix}:{{{run}}}:facts"

    def listed(self, owner: str) -> str:
        """The sorted set of an owner's runs, by time."""
        return f"{self._prefix}:runs:{hashlib.sha256(owner.encode()).hexdigest()[:16]}"

    def alive(self, replica: str) -> str:
        """There while the replica lives."""
        return f"{self._prefix}:alive:{replica}"

    def working(self, replica: str) -> str:
        """The set of runs that a replica works on."""
        return f"{self._prefix}:working:{replica}"

    def flight(self, fingerprint: str) -> str:
        """Which replica works on the call of that fingerprint."""
        return f"{self._prefix}:flight:{fingerprint}"

    def idempotency(self, name: str) -> str:
        """Which run an idempotency key has started, by a hash of whose and where it is."""
        return f"{self._prefix}:idempotency:{name}"

    def note(self, run: str) -> str:
        """What is noted of a run beside its log."""
        return f"{self._prefix}:{{{run}}}:note"

    def inbox(self, replica: str) -> str:
        """The channel on which a replica listens."""
        return f"{self._prefix}:inbox:{replica}"


@dataclass(frozen=True, slots=True)
class Record:
    """A run as Redis knows it: what it is about, who works on it, how it stands."""

    info: RunInfo
    replica: str
    epoch: int
    state: State
    statistics: Mapping[str, Any]
    spec: bytes = b""

    @property
    def ended(self) -> bool:
        """Whether its last event is in the log."""
        return self.state not in {"queued", "running"}

    def figures(self) -> Mapping[str, Any]:
        """The run's statistics, as of its beginning or its end."""
        return self.statistics

    @classmethod
    def read(cls, reply: Any) -> "Record | None":
        """The record in a reply to HGETALL; None if there is none, or it is not ours."""
        facts: dict[bytes, bytes] = reply if isinstance(reply, dict) else dict(_pairs(reply))
        try:
            info = orjson.loads(facts[b"info"])
            return cls(
                RunInfo(**info | {"tags": tuple(info["tags"])}),
                facts[b"replica"].decode(),
                int(facts[b"epoch"]),
                facts[b"state"].decode(),  # type: ignore[arg-type]
                orjson.loads(facts[b"statistics"]),
                facts.get(b"spec", b""),
            )
        except (KeyError, ValueError, TypeError):
            return None


def _pairs(reply: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    flat = iter(reply)
    return zip(flat, flat, strict=True)


_APPEND: Final = """
for n = 2, #ARGV, 3 do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], ARGV[n], 't', ARGV[n + 1], 'd', ARGV[n + 2])
end
return 1
"""
"""Many events are one command: a pipeline of as many costs twice the CPU here."""


def write_events(keys: Keys, run: str, events: Sequence[Event]) -> list[Command]:
    """Append events at their own places; from the first that Redis refuses on, none.

    `t` is for people and for other programs: here the kind is read out of the event.
    """
    if not events:
        return []
    stamped = [part for event in events for part in (position_of(event), kind_of(event), event)]
    return [("EVAL", _APPEND, 1, keys.log(run), MAX_LOG_EVENTS, *stamped)]


_DESCRIBE: Final = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and tonumber(epoch) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'info', ARGV[2], 'replica', ARGV[3],
  'state', ARGV[4], 'statistics', ARGV[5], 'spec', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
return 1
"""
"""An owner that has lost the run, and does not know it yet, changes nothing."""


def write_facts(keys: Keys, record: Record) -> list[Command]:
    """Say what a live run is about and who works on it; its log has to exist."""
    info = record.info
    listed = keys.listed(info.owner)
    commands: list[Command] = [
        ("EVAL", _DESCRIBE, 1, keys.facts(info.id), record.epoch, orjson.dumps(info._asdict()),
         record.replica, record.state, orjson.dumps(record.statistics), record.spec, LIVE_MS),
        ("PEXPIRE", keys.log(info.id), LIVE_MS),
        ("SADD", keys.working(record.replica), info.id),
    ]  # fmt: skip
    if info.parent is None:
        commands += [
            ("ZADD", listed, int(info.created_at * 1000), info.id),
            ("ZREMRANGEBYRANK", listed, 0, -MAX_LISTED - 1),
            ("PEXPIRE", listed, LIVE_MS * 7),
        ]
    return commands


_END: Final = """
redis.call('XADD', KEYS[1], ARGV[1], 't', ARGV[2], 'd', ARGV[3])
redis.call('HSET', KEYS[2], 'state', ARGV[4], 'statistics', ARGV[5], 'spec', '')
redis.call('PEXPIRE', KEYS[2], ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
return 1
"""
"""Nothing of it is done if the log refuses the event, which another owner's log does."""


def write_end(
    keys: Keys, run: str, event: Event, statistics: RunStatistics, retention_ms: int
) -> Command:
    """Append the terminal event and say that the run has ended.

    Its facts outlive its log, to tell "expired" from "never was".
    """
    return (
        "EVAL", _END, 2, keys.log(run), keys.facts(run), position_of(event), kind_of(event), event,
        statistics.state, orjson.dumps(asdict(statistics)),
        retention_ms + TOMBSTONE_MS, retention_ms,
    )  # fmt: skip


def write_ended(
    keys: Keys, run: str, statistics: RunStatistics, retention_ms: int
) -> list[Command]:
    """Say that a run has ended whose terminal event is in its log already."""
    facts = keys.facts(run)
    return [
        ("HSET", facts, "state", statistics.state,
         "statistics", orjson.dumps(asdict(statistics)), "spec", ""),
        ("PEXPIRE", facts, retention_ms + TOMBSTONE_MS),
        ("PEXPIRE", keys.log(run), retention_ms),
    ]  # fmt: skip


def read_events(keys: Keys, run: str, after: Place) -> Command:
    """Up to `PAGE_EVENTS` events behind a place; see `events_of`."""
    start = "-" if after == NOWHERE else f"({after}"
    return ("XRANGE", keys.log(run), start, "+", "COUNT", PAGE_EVENTS)


def events_of(reply: Any) -> list[Event]:
    """The events in a reply to `read_events`."""
    events = []
    for position, fields in reply or ():
        by_name = dict(_pairs(fields)) if not isinstance(fields, dict) else fields
        event = recognised(by_name.get(b"d", b""))
        if event is not None and cursor_of(event) == position:
            events.append(event)
    return events


def read_last(keys: Keys, run: str) -> Command:
    """The newest entry of a log; see `events_of`."""
    return ("XREVRANGE", keys.log(run), "+", "-", "COUNT", 1)
