"""What the service says on a socket and in a stream, beside events: the shape of each message.

Typed dictionaries, as in `payloads`: whoever makes a message is checked against its shape, and
GET /asyncapi.json is made out of them.
"""

from typing import Literal, NotRequired

from typing_extensions import TypedDict  # before 3.12 pydantic cannot read typing's

from llm_stream.engine.directory import Release
from llm_stream.errors import Problem


class Stamp(TypedDict):
    """What events begin with: the cursor, the run, milliseconds since that was made."""

    id: str
    run: str
    t_ms: int


class SocketLimits(TypedDict):
    """What one socket may do, and how long a run can be read after its end."""

    concurrent_runs: int
    queued_runs: int
    streams: int
    message_bytes: int
    retention_seconds: float
    durable: bool


class Welcome(TypedDict):
    """First message of every socket: who this connection is and what it may do."""

    type: Literal["welcome"]
    conn: str
    heartbeat_ms: int
    limits: SocketLimits


class Started(TypedDict):
    """Answer to `start`: the run, followed as this stream."""

    status: Literal[202]
    stream: str
    run: str
    cache: Literal["miss", "hit", "joined", "bypass"]


class Followed(TypedDict):
    """A stream that `subscribe` has opened."""

    stream: str
    status: Literal[200]
    run: str


class NotFollowed(TypedDict):
    """A stream that `subscribe` could not open; the others are not touched."""

    stream: str
    status: int
    error: Problem


class Subscribed(TypedDict):
    """Answer to `subscribe`: each stream by itself, in the order of the command."""

    status: Literal[200]
    streams: list[Followed | NotFollowed]


class Unsubscribed(TypedDict):
    """Answer to `unsubscribe`."""

    status: Literal[200]
    stream: str


class Released(Release):
    """Answer to `cancel`: how the run is now; `shared` while others want it."""

    status: Literal[200]
    run: str


class Reply(TypedDict):
    """What every answer to a command begins with; `id` is the command's."""

    type: Literal["reply"]
    id: str


class StartReply(Reply, Started):
    """Answer to `start`: the run, followed as this stream."""


class SubscribeReply(Reply, Subscribed):
    """Answer to `subscribe`: each stream by itself, in the order of the command."""


class UnsubscribeReply(Reply, Unsubscribed):
    """Answer to `unsubscribe`."""


class CancelReply(Reply, Released):
    """Answer to `cancel`: how the run is now; `shared` while others want it."""


class Refusal(TypedDict):
    """Answer to a command that is not obeyed; `id` is null where it had none that can be read."""

    type: Literal["reply"]
    id: str | None
    status: int
    error: Problem


class Pong(TypedDict):
    """Answer to `ping`, with its id."""

    type: Literal["pong"]
    id: str | None


class End(TypedDict):
    """The stream's terminal event has been sent; its name is free."""

    type: Literal["end"]
    stream: str


class StreamGap(TypedDict):
    """Events of a stream are lost: those behind `after`, up to `first`, which is the next."""

    type: Literal["gap"]
    stream: str
    after: str
    first: str


class Heartbeat(TypedDict):
    """Nothing else was said for a while."""

    type: Literal["heartbeat"]


class GoAway(TypedDict):
    """Come back after a while, to another instance; or with a key that holds."""

    type: Literal["goaway"]
    reason: Literal["drain", "unauthenticated"]
    reconnect_after_ms: NotRequired[int]


class Silence(TypedDict):
    """Data of `heartbeat` in a stream: nothing."""


class Lost(TypedDict):
    """Data of `gap` in a stream: events behind `after` are lost; `first` is the next."""

    after: str
    first: str


class Drain(TypedDict):
    """Data of `goaway` in a stream: come back after a while, to another instance."""

    reason: Literal["drain"]
    reconnect_after_ms: int
