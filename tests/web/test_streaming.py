"""What sends a run to one client: joined writes, waiting for those who do not read, clean ends."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import StreamWriter

from llm_stream.engine.eventlog import EventLog
from llm_stream.engine.subscription import Subscription
from llm_stream.events import Event, decoded
from llm_stream.web.service import Draining
from llm_stream.web.streaming import WRITE_BYTES, Framing, send

END: Any = {"type": "run.cancelled", "reason": "requested", "usage": {}}


class Transport:
    """Keeps what is written; while it is `full` nobody has read it."""

    def __init__(self, protocol: BaseProtocol) -> None:
        self.protocol = protocol
        self.writes: list[bytes] = []
        self.full = self.aborted = self.gone = False
        protocol.connection_made(self)  # type: ignore[arg-type]

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0

    def get_extra_info(self, _: str) -> None:
        """It has no socket."""

    def get_write_buffer_size(self) -> int:
        return int(self.full)

    def is_closing(self) -> bool:
        return self.gone

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        if self.full and not self.protocol.writing_paused:
            self.protocol.pause_writing()

    def take(self) -> None:
        """The peer has read all of it."""
        self.full = False
        self.protocol.resume_writing()

    def abort(self) -> None:
        self.aborted = True


class Log(EventLog):
    """One that tells how many wait for what comes."""

    __slots__ = ("call", "callback", "waiting")

    def __init__(self) -> None:
        super().__init__("run_1", max_bytes=10_000_000)
        self.waiting = 0

    def notify(self, callback: Any) -> None:
        """See `EventLog`."""
        self.waiting += 1

        def call() -> None:
            self.waiting -= 1
            callback()

        self.callback, self.call = callback, call
        super().notify(call)

    def forget(self, callback: Any) -> None:
        """See `EventLog`."""
        assert callback == self.callback
        self.waiting -= 1
        super().forget(self.call)


class Client:
    """A log, what sends it, and what a client is sent."""

    def __init__(self, *, heartbeat: float = 60.0, chunked: bool = False) -> None:
        protocol = BaseProtocol(asyncio.get_running_loop())
        self.transport = Transport(protocol)
        self.writer = StreamWriter(protocol, asyncio.get_running_loop())
        self.writer.chunked = chunked
        self.log = Log()
        self.draining = Draining()
        nothing = SimpleNamespace(inc=lambda: None)
        server = SimpleNamespace(heartbeat_seconds=heartbeat, stall_seconds=60.0)
        self.service: Any = SimpleNamespace(
            settings=SimpleNamespace(server=server),
            metrics=SimpleNamespace(slow_readers=nothing, gaps=nothing),
            draining=self.draining,
            goaway=dict,
        )

    def say(self, *texts: str) -> None:
        """Append to the log."""
        self.log.append_all([{"type": "text.delta", "text": text} for text in texts])

    async def send(self, events: Any = None) -> None:
        """Send the log to its end."""
        framing = Framing(events or words, lambda name, _: f"[{name}]".encode())
        transport: Any = self.transport
        await send(self.service, self.writer, transport, Subscription(self.log, 0), framing)


def words(events: Sequence[Event]) -> bytes:
    """Events as their texts."""
    return b"".join(decoded(event).get("text", "end").encode() for event in events)


async def turns(count: int = 3) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_in_one_turn_is_one_write() -> None:
    """However many events; and the end is the last."""
    client = Client()
    client.say("a")
    sending = asyncio.create_task(client.send())
    await turns()
    client.say("b", "c")
    client.say("d")
    await turns()
    client.log.append(END)
    await sending

    assert client.transport.writes == [b"a", b"bcd", b"end"]


async def test_writes_are_chunks_where_http_wants_them() -> None:
    """HTTP/1.1 without a length."""
    client = Client(chunked=True)
    client.say("x" * 17)
    client.log.append(END)
    await client.send()

    assert client.transport.writes == [b"14\r\n" + b"x" * 17 + b"end\r\n"]


async def test_much_goes_in_bounded_pieces() -> None:
    """What a reader that does not read holds is bounded."""
    client = Client()
    client.say(*["x" * 1000] * 100)
    client.log.append(END)
    await client.send()

    assert b"".join(client.transport.writes) == b"x" * 100_000 + b"end"
    assert max(map(len, client.transport.writes)) <= WRITE_BYTES


async def test_nothing_is_written_to_who_does_not_read() -> None:
    """Until there is room: then all that has come meanwhile."""
    client = Client()
    client.transport.full = True
    client.say("a")
    sending = asyncio.create_task(client.send())
    await turns()
    client.say("b")
    client.log.append(END)
    await turns()
    assert client.transport.writes == [b"a"]
    client.transport.take()
    await sending

    assert client.transport.writes == [b"a", b"bend"]


async def test_the_end_is_not_over_before_it_is_taken() -> None:
    """Who does not take the last write is waited for as well."""
    client = Client()
    client.transport.full = True
    client.log.append(END)
    sending = asyncio.create_task(client.send())
    await turns(10)
    assert not sending.done()
    client.transport.take()
    await sending

    assert client.transport.writes == [b"end"]


async def test_a_drain_is_told_within_the_stream_only() -> None:
    """Once, to those who still read; what follows on the connection belongs to others."""
    early, late = Client(), Client()
    sending = asyncio.create_task(early.send())
    await turns()
    early.draining.set()
    await turns()
    early.log.append(END)
    await sending
    late.log.append(END)
    sending = asyncio.create_task(late.send())
    await asyncio.sleep(0)
    late.draining.set()
    await sending
    await turns()

    assert early.transport.writes == [b"[goaway]", b"end"]
    assert late.transport.writes == [b"end"]


async def test_silence_is_filled() -> None:
    """With heartbeats, as long as nothing comes."""
    client = Client(heartbeat=0.01)
    sending = asyncio.create_task(client.send())
    while len(client.transport.writes) < 2:
        await asyncio.sleep(0)
    client.log.append(END)
    await sending

    assert set(client.transport.writes[:-1]) == {b"[heartbeat]"}
    assert client.transport.writes[-1] == b"end"


async def test_who_has_left_is_sent_nothing() -> None:
    """The run goes on without it."""
    client = Client()
    sending = asyncio.create_task(client.send())
    await turns()
    client.transport.gone = True
    client.say("a")
    await sending

    assert (client.transport.writes, client.transport.aborted) == ([], False)


async def test_a_fault_of_ours_is_no_clean_end() -> None:
    """The connection is cut, and the fault is told to whoever serves it."""

    def faulty(_: Sequence[Event]) -> bytes:
        raise LookupError("a bug")

    client = Client()
    sending = asyncio.create_task(client.send(faulty))
    await turns()
    client.say("a")
    with pytest.raises(LookupError, match="a bug"):
        await sending

    assert client.transport.aborted


async def test_a_heartbeat_that_finds_no_room_is_waited_for() -> None:
    """Nothing follows it before it is taken, and the log is still asked once for what comes."""
    client = Client(heartbeat=0.01)
    sending = asyncio.create_task(client.send())
    await turns()
    for _ in range(3):
        client.transport.full = True
        count = len(client.transport.writes)
        while len(client.transport.writes) == count:
            await asyncio.sleep(0)
        client.transport.take()
        await turns()
        assert client.log.waiting == 1
    client.transport.full = True
    count = len(client.transport.writes)
    while len(client.transport.writes) == count:
        await asyncio.sleep(0)
    written = [*client.transport.writes]
    client.say("a")
    await turns()
    assert client.transport.writes == written
    client.log.append(END)
    client.transport.take()
    await sending

    assert client.transport.writes == [*written, b"aend"]


async def test_a_fault_while_nobody_reads_is_told_as_well() -> None:
    """It is not forgotten until there is room."""

    def faulty(name: str, _: Any) -> bytes:
        raise LookupError(name)

    client = Client()
    client.transport.full = True
    client.say("a")
    transport: Any = client.transport
    framing = Framing(words, faulty)
    sending = asyncio.create_task(
        send(client.service, client.writer, transport, Subscription(client.log, 0), framing)
    )
    await turns()
    client.draining.set()
    client.log.append(END)
    await turns()
    client.transport.take()
    with pytest.raises(LookupError, match="goaway"):
        await sending

    assert (client.transport.writes, client.transport.aborted) == ([b"a"], True)


async def test_one_that_is_cancelled_leaves_nothing() -> None:
    """Neither the log nor the drain calls it back."""
    client = Client()
    sending = asyncio.create_task(client.send())
    await turns()
    client.say("a")
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    told: list[str] = []
    client.draining.notify(lambda: told.append("drain"))
    client.draining.set()
    assert client.log.waiting == 0
    client.say("b")
    await turns()

    assert (client.transport.writes, told) == ([], ["drain"])
