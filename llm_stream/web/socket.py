"""One connection's state: its streams, its claims on runs, its gate and its outbox."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from llm_stream.access.principal import EVERYBODY, Principal
from llm_stream.engine.gate import Gate
from llm_stream.engine.run import Run
from llm_stream.errors import DuplicateId, TooManyStreams
from llm_stream.naming import token
from llm_stream.web.frames import End, GoAway, Welcome
from llm_stream.web.outbox import Outbox, Stream
from llm_stream.web.problems import NO_KEY
from llm_stream.web.service import Service

REMEMBERED_IDS: Final = 1024


class Socket:
    """One connection's state.

    Attributes:
        gate: the connection's own semaphore: `limits.connection_concurrent_runs` at once.
        client: id of the client; "" where no keys are asked for.
        dismissed: done when its key holds no more.
        closing: close code with which to close as soon as all is sent; None = stay open.
    """

    __slots__ = ("_claimed", "_ids", "_max_streams", "_principal", "_reserved", "client", "closing",
                 "dismissed", "gate", "id", "outbox", "request", "service", "streams")  # fmt: skip

    def __init__(self, service: Service, request: str, principal: Principal = EVERYBODY) -> None:
        limits = service.settings.limits
        self.service = service
        self.request = request
        self._principal = principal
        self.client = principal.id
        self.dismissed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.id = f"c_{token()}"
        self.gate = Gate(
            limits.connection_concurrent_runs, limits.connection_queued_runs, "this connection"
        )
        self.outbox = Outbox(self._ended, service.metrics.gaps.inc)
        self.closing: int | None = None
        self._claimed: set[Run] = set()
        self._ids: dict[str, None] = {}
        self._reserved: list[str] = []
        self.streams: dict[str, Stream] = {}
        self._max_streams = limits.connection_streams

    def welcome(self) -> Welcome:
        """The first message: who this connection is and what it may do."""
        settings = self.service.settings
        limits = settings.limits
        return {
            "type": "welcome",
            "conn": self.id,
            "heartbeat_ms": int(settings.server.heartbeat_seconds * 1000),
            "limits": {
                "concurrent_runs": limits.connection_concurrent_runs,
                "queued_runs": limits.connection_queued_runs,
                "streams": limits.connection_streams,
                "message_bytes": limits.message_bytes,
                "retention_seconds": settings.runs.retention_seconds,
                "durable": self.service.durable,
            },
        }

    def check_id(self, frame_id: str) -> None:
        """Raise if one of the last 1024 commands had this id."""
        if frame_id in self._ids:
            raise DuplicateId(f"Id {frame_id[:100]!r} was used before.", field="id")
        self._ids[frame_id] = None
        if len(self._ids) > REMEMBERED_IDS:
            del self._ids[next(iter(self._ids))]

    def check_name(self, name: str) -> None:
        """Raise unless a stream of that name can be opened."""
        if name in self.streams:
            raise DuplicateId(f"Stream {name!r} is in use; choose another name.", field="stream")
        if len(self.streams) >= self._max_streams:
            raise TooManyStreams(
                f"A socket has at most {self._max_streams} streams. Unsubscribe from one."
            )

    @contextmanager
    def reserved(self, name: str) -> Iterator[bool]:
        """Keep the name for a stream that is about to be opened, while the block runs.

        Yields whether what others are about to open leaves room for it; else those come first.
        """
        room = len(self.streams) + len(self._reserved) < self._max_streams
        free = room and name not in self._reserved
        self._reserved.append(name)
        try:
            yield free
        finally:
            self._reserved.remove(name)

    def open(self, name: str, run: Run, after: str) -> None:
        """Follow `run` as stream `name`.

        Raises:
            InvalidCursor: `after` was never issued for the run.
        """
        stream = Stream(name, run.id, run.subscribe(after), self.outbox)
        self.streams[name] = stream
        # Even if the run has ended: its end comes after the reply to the command.
        stream.wake()

    def claim(self, run: Run) -> None:
        """This socket has launched or joined the run, and may cancel it."""
        # A run of another replica is held by nobody else, once it has no reader here.
        self._claimed = {claimed for claimed in self._claimed if not claimed.done} | {run}

    def close_stream(self, stream: Stream) -> None:
        """Leave a stream."""
        if self.streams.get(stream.name) is stream:
            del self.streams[stream.name]
        stream.close()

    def _ended(self, stream: Stream) -> None:
        self.close_stream(stream)
        self.outbox.reply(End(type="end", stream=stream.name))

    @property
    def principal(self) -> Principal:
        """Who is at the other end, as they are now.

        Raises:
            Unauthenticated: their key holds no more (the operator's doing).
        """
        if not self._principal.id:
            return self._principal
        return self.service.access.roster.of_client(self._principal.id)

    def dismiss(self) -> None:
        """The client's key holds no more: leave every stream and close."""
        for stream in tuple(self.streams.values()):
            self.close_stream(stream)
        self.closing = NO_KEY
        if not self.dismissed.done():
            self.dismissed.set_result(None)
        self.outbox.reply(GoAway(type="goaway", reason="unauthenticated"))

    def close(self) -> None:
        """Leave every stream and give up every claim."""
        for run in self._claimed:
            run.interest.forget(self.id)
        self._claimed.clear()
        for stream in tuple(self.streams.values()):
            self.close_stream(stream)
        self.outbox.close()
