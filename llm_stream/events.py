"""`Event`: a payload with its place in a log, and its one encoding.

A payload is what a recipe yields; an event's bytes are every wire's.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NewType, cast, get_args, get_type_hints

import orjson

from llm_stream.errors import InvalidOutput
from llm_stream.payloads import TERMINAL_TYPES, Payload

_KINDS: Final = {
    kind.encode(): kind
    for payload in get_args(Payload)
    for kind in get_args(get_type_hints(payload)["type"])
}
"""One text for all events of a kind; made anew for each, it would take as much as the event."""

_HEADS: Final = re.compile(rb'\{"id":"[^"]*","run":"[^"]*","t_ms":(\d+),(?="type":"([^"]*)")')

_FIRST: Final = b'{"type":'
"""How encoded payloads begin."""


Event = NewType("Event", bytes)
"""One entry of a run's log, encoded once: one JSON object, UTF-8, without a line break.

First `id`, `run`, `t_ms` and `type`, then the rest of the payload. Bytes and nothing around them:
runs keep many events for a while, an object of its own would take half as much again for each, and
the garbage collector would go through all of them. What is asked of one is read out of it.
"""


def encoded(epoch: int, seq: int, run: str, t_ms: int, payload: Payload) -> Event:
    """The payload as an event at its place; `t_ms` counts from the run's creation.

    Raises:
        InvalidOutput: the payload has what JSON cannot say, half a character say (the model's).
    """
    try:
        said = orjson.dumps(payload)
    except orjson.JSONEncodeError as error:
        told = f"A {payload['type']} event cannot be written as JSON: {error}."
        raise InvalidOutput(told, run=run) from error
    if said[:8] != _FIRST:
        said = orjson.dumps({"type": payload["type"], **payload})
    # What reads events counts on the three commas.
    head = f'{{"id":"{epoch}-{seq}","run":"{run}","t_ms":{t_ms},'
    # Not by its name, which would be a call for each token.
    return head.encode() + said[1:]  # type: ignore[return-value]


def recognised(data: bytes) -> Event | None:
    """The event in bytes that another process has written; None: they do not begin like one."""
    return Event(data) if _HEADS.match(data) else None


def kind_of(event: Event) -> str:
    """The payload's type. To be read once where it is asked for more than once."""
    # Nothing before it has a quote or a comma inside.
    start = event.index(b',"type":"') + 9
    kind = event[start : event.index(b'"', start)]
    return _KINDS.get(kind) or kind.decode()


def cursor_of(event: Event) -> bytes:
    """Its place, `<epoch>-<seq>`; `seq` is contiguous from 1 within an epoch."""
    return event[7 : event.index(b'"', 7)]


def position_of(event: Event) -> str:
    """The cursor as text: WebSocket's `after`."""
    return cursor_of(event).decode()


def parts_of(event: Event) -> tuple[int, bytes]:
    """Milliseconds from the run's creation, and the payload without its opening brace.

    The second is what follows this log's stamps.
    """
    _, _, stamp, body = event.split(b",", 3)
    return int(stamp[7:]), body


def apart(
    events: Sequence[Event],
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[bytes, ...]]:
    """`kind_of` and `parts_of` of many events, read at once, for much less."""
    said = _HEADS.split(b"".join(events))
    kinds = tuple(map(_KINDS.get, said[2::3]))
    # What a model has said looks like an event, or one is of a kind that is not known here.
    if len(said) != 1 + 3 * len(events) or None in kinds:
        parts = [parts_of(event) for event in events]
        times, bodies = zip(*parts, strict=True) if parts else ((), ())
        return tuple(map(kind_of, events)), times, bodies
    times = tuple(orjson.loads(b"[%b]" % b",".join(said[1::3])))
    return cast("tuple[str, ...]", kinds), times, tuple(said[3::3])


def t_ms_of(event: Event) -> int:
    """Milliseconds from the run's creation to this event."""
    start = event.index(b',"t_ms":') + 8
    return int(event[start : event.index(b",", start)])


def is_terminal(event: Event) -> bool:
    """Whether nothing can follow this event."""
    return kind_of(event) in TERMINAL_TYPES


def decoded(event: Event) -> dict[str, Any]:
    """The whole event as a new dict, `id`, `run` and `t_ms` included."""
    return cast("dict[str, Any]", orjson.loads(event))


def payload_of(event: Event) -> Payload:
    """What was appended, to be appended to another log: without this log's stamps."""
    return cast("Payload", orjson.loads(b"{" + parts_of(event)[1]))
