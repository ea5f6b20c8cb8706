"""One connection: what a provider's bytes say, however they come, and what is no answer."""

import asyncio
import gc
import weakref
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_stream.errors import UpstreamFailed
from llm_stream.models.wires.connection import (
    HEAD_BYTES,
    HELD_BYTES,
    LARGE_BYTES,
    Connection,
)

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Two: first\r\nx-two: second\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n7;x=y\r\n, world\r\n0\r\nX-Behind: 1\r\n\r\n"
)
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHello, world"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nHello, world"


class Transport:
    """Takes what is written; closing it tells the protocol at once, or `late`."""

    def __init__(self, connection: Connection, *, late: bool = False) -> None:
        self.connection: Connection | None = connection
        self.written: list[bytes] = []
        self.paused = 0
        self._late = late
        connection.connection_made(self)  # type: ignore[arg-type]

    def writelines(self, parts: Any) -> None:
        self.written.append(b"".join(parts))

    def is_closing(self) -> bool:
        return self.connection is None

    def abort(self) -> None:
        if (connection := self.connection) is not None:
            self.connection = None
            if not self._late:
                connection.connection_lost(None)

    def eof(self) -> None:
        """The peer says no more: what asyncio makes of it."""
        assert self.connection is not None
        self.connection.eof_received()
        self.abort()

    def pause_reading(self) -> None:
        assert self.connection is not None, "uvloop raises an error of its own"
        self.paused += 1

    def resume_reading(self) -> None:
        assert self.connection is not None, "uvloop raises an error of its own"
        self.paused -= 1


def make() -> Any:
    """A connection that has been asked, its transport, and who is told of its end."""
    lost: list[Connection] = []
    connection = Connection(lost.append)
    transport = Transport(connection)
    connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"", "m")
    return connection, transport, lost


def feed(connection: Connection, came: bytes) -> None:
    """Bytes of a provider, in blocks."""
    for start in range(0, len(came), 8192):
        connection.data_received(came[start : start + 8192])


async def whole(connection: Connection) -> bytes:
    """The body, to its end."""
    await connection.answered()
    found = b""
    while block := await connection.read():
        found += block
    return found


@pytest.mark.parametrize("answer", [CHUNKED, SIZED], ids=["chunked", "sized"])
@given(cuts=st.lists(st.integers(0, 250), max_size=6))
def test_an_answer_is_the_same_however_it_is_cut(answer: bytes, cuts: list[int]) -> None:
    """Bytes of one answer in any blocks: its head, its body, its end, and it can be used again."""

    async def read() -> None:
        connection, _, lost = make()
        ends = [0, *sorted(cut % len(answer) for cut in cuts), len(answer)]
        for start, end in pairwise(ends):
            if block := answer[start:end]:
                connection.data_received(block)

        assert await whole(connection) == b"Hello, world"
        assert (connection.status, connection.ended, connection.reusable) == (200, True, True)
        assert lost == []

    asyncio.run(read())


async def test_headers_are_known_by_name_in_lower_case() -> None:
    """Of two of one name the first counts; what follows the body is none."""
    connection, _, _ = make()
    connection.data_received(CHUNKED)

    assert connection.headers == {
        "content-type": "text/event-stream",
        "x-two": "first",
        "transfer-encoding": "chunked",
    }


async def test_what_is_sent_is_one_write() -> None:
    """Head and body together."""
    connection, transport, _ = make()
    connection.data_received(SIZED)
    connection.ask(b"POST / HTTP/1.1\r\n\r\n", b"body", "m")

    assert transport.written[1:] == [b"POST / HTTP/1.1\r\n\r\nbody"]


async def test_a_block_wakes_who_waits_for_it() -> None:
    """Readers get what has come, as it came, and wait for the rest."""
    connection, _, _ = make()
    connection.data_received(CHUNKED[: CHUNKED.index(b"5\r\n")])
    await connection.answered()
    reading = connection.read()
    assert not reading.done()
    connection.data_received(b"5\r\nHello\r\n3\r\n, w\r\n")

    assert await reading == b"Hello, w"


async def test_heads_that_only_inform_are_passed_over() -> None:
    """What comes before the answer, and its headers, are not the answer's."""
    connection, _, _ = make()
    connection.data_received(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    assert connection.status == 0
    connection.data_received(SIZED)

    assert await whole(connection) == b"Hello, world"
    assert connection.headers == {"content-length": "12"}


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    """An end without an error is its end, and the connection's."""
    connection, transport, lost = make()
    connection.data_received(UNTIL_CLOSE)
    assert not connection.ended
    transport.eof()

    assert await whole(connection) == b"Hello, world"
    assert (connection.reusable, lost) == (False, [connection])


TWICE = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello"
)


@pytest.mark.parametrize(
    ("came", "error"),
    [
        (CHUNKED[:-9], None),
        (SIZED[:-1], None),
        (TWICE, None),
        (UNTIL_CLOSE, ConnectionResetError()),
    ],
    ids=["chunked", "sized", "two headers", "reset"],
)
async def test_a_body_that_is_cut_is_no_body(came: bytes, error: Exception | None) -> None:
    """What has come is given; then the break is told, not an end."""
    connection, _, _ = make()
    connection.data_received(came)
    if error is None:
        connection.eof_received()
    connection.connection_lost(error)
    assert (await connection.read()).startswith(b"Hello")

    with pytest.raises(UpstreamFailed, match="m: the connection broke"):
        await connection.read()


async def test_who_closes_it_has_not_read_to_the_end() -> None:
    """A body that only the end of its connection ends, closed from here."""
    connection, _, _ = make()
    connection.data_received(UNTIL_CLOSE)
    connection.close()
    await connection.read()

    with pytest.raises(UpstreamFailed, match="broke"):
        await connection.read()


@pytest.mark.parametrize(
    ("size", "status", "again"),
    [(LARGE_BYTES, 413, True), (LARGE_BYTES + 1, 413, False), (LARGE_BYTES + 1, 200, True)],
)
async def test_a_large_request_that_was_refused_takes_its_connection_along(
    size: int, status: int, again: Any
) -> None:
    """It may not all have left: what is sent next would stand behind the rest."""
    connection, _, _ = make()
    connection.data_received(SIZED)
    connection.ask(b"POST / HTTP/1.1\r\n\r\n", b"x" * size, "m")
    connection.data_received(SIZED.replace(b"200", b"%d" % status))

    assert (connection.ended, connection.reusable) == (True, again)


@pytest.mark.parametrize(
    "came",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 12\n\nHello, world",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 12\r\n\r\nHello, world",
        b"HTTP/1.1 200 OK\r\nX: \x07\xff\r\nContent-Length: 12\r\n\r\nHello, world",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nc  \r\nHello, world\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 12\r\n\r\nHello, world",
    ],
    ids=["lines", "folded", "bytes", "spaces", "HTTP/1.0"],
)
async def test_what_small_servers_write_is_read(came: bytes) -> None:
    """As long as it says in one way how long the answer is."""
    connection, _, _ = make()
    connection.data_received(came)

    assert await whole(connection) == b"Hello, world"


async def test_a_connection_that_ends_before_the_head_is_no_answer() -> None:
    """Who waits for the head is told."""
    connection, transport, _ = make()
    waiting = asyncio.create_task(connection.answered())
    await asyncio.sleep(0)
    transport.abort()

    with pytest.raises(UpstreamFailed, match="no answer from the provider: it was closed"):
        await waiting


async def test_one_that_was_lost_before_it_was_asked_is_no_answer() -> None:
    """Nobody waits for ever for the answer to what was not sent."""
    connection = Connection(lambda _: None)
    Transport(connection).abort()
    connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"", "m")

    with pytest.raises(UpstreamFailed, match="no answer"):
        await connection.answered()


@pytest.mark.parametrize(
    "came",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nHi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n9\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES,
        b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_BYTES // 20),
    ],
    ids=[
        "other",
        "no status",
        "space",
        "two lengths",
        "length and chunks",
        "upgrade",
        "endless",
        "endless informing",
    ],
)
async def test_what_is_no_answer_is_refused(came: bytes) -> None:
    """Other protocols, heads that can be read in two ways, heads without end."""
    connection, transport, lost = make()
    feed(connection, came)

    with pytest.raises(UpstreamFailed, match="m: no answer from the provider"):
        await connection.answered()
    assert (transport.is_closing(), lost) == (True, [connection])


@pytest.mark.parametrize(
    "came", [b"zz\r\n", b"0\r\nX: " + b"x" * HEAD_BYTES], ids=["size", "trailer"]
)
async def test_a_body_that_is_no_http_breaks(came: bytes) -> None:
    """A chunk without a size, and what follows the last one without end."""
    connection, transport, _ = make()
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nHi\r\n")
    feed(connection, came)
    assert await connection.read() == b"Hi"

    with pytest.raises(UpstreamFailed, match="the connection broke"):
        await connection.read()
    assert transport.is_closing()


@pytest.mark.parametrize("together", [True, False])
async def test_more_than_was_asked_for_ends_the_connection(together: bool) -> None:
    """The answer is as it was; whoever asked next would get what belongs to nobody."""
    connection, transport, _ = make()
    if together:
        connection.data_received(SIZED + SIZED)
    else:
        connection.data_received(SIZED)
        connection.data_received(SIZED)

    assert await whole(connection) == b"Hello, world"
    assert (connection.reusable, transport.is_closing()) == (False, True)


async def test_a_connection_that_is_to_be_closed_is_not_used_again() -> None:
    """`Connection: close` behind a whole answer."""
    connection, _, _ = make()
    connection.data_received(SIZED.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))

    assert (connection.ended, connection.reusable) == (True, False)


async def test_what_nobody_takes_is_not_read() -> None:
    """So much may wait; then the socket is left alone until somebody reads."""
    connection, transport, _ = make()
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n")
    for _ in range(HELD_BYTES // 65_536 + 2):
        connection.data_received(b"x" * 65_536)
    assert transport.paused == 1
    await connection.read()

    assert transport.paused == 0


@pytest.mark.parametrize("closed", ["before more comes", "before it is read"])
async def test_one_that_is_being_closed_is_neither_paused_nor_resumed(closed: str) -> None:
    """Who closes it is told of the end a turn of the loop later; what has come can be read."""
    connection = Connection(lambda _: None)
    Transport(connection, late=True)
    connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"", "m")
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n")
    if closed == "before more comes":
        connection.close()
    connection.data_received(b"x" * (HELD_BYTES + 1))
    connection.close()

    assert len(await connection.read()) == HELD_BYTES + 1


async def test_what_was_left_unread_is_not_the_next_answers() -> None:
    """A whole answer of which nobody has read the body."""
    connection, _, _ = make()
    connection.data_received(SIZED)
    connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"", "m")
    connection.data_received(SIZED.replace(b"Hello", b"Other"))

    assert await whole(connection) == b"Other, world"


async def test_who_stops_waiting_loses_nothing() -> None:
    """What comes after a cancelled wait is there for the next one."""
    connection, _, _ = make()
    waiting = asyncio.create_task(connection.answered())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    connection.data_received(SIZED)

    assert await whole(connection) == b"Hello, world"


async def test_a_block_behind_a_cancelled_read_is_the_next_ones() -> None:
    """Who has left takes only what was given already."""
    connection, _, _ = make()
    connection.data_received(CHUNKED[: CHUNKED.index(b"5\r\n")])
    connection.read().cancel()
    connection.data_received(b"5\r\nHello\r\n")

    assert await connection.read() == b"Hello"


async def test_the_head_is_told_behind_a_cancelled_read() -> None:
    """A connection that is asked again knows nothing of who has read before."""
    connection, _, _ = make()
    connection.data_received(CHUNKED[: CHUNKED.index(b"5\r\n")])
    connection.read().cancel()
    connection.data_received(CHUNKED[CHUNKED.index(b"5\r\n") :])
    connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"", "m")
    heard = asyncio.create_task(connection.answered())
    await asyncio.sleep(0)
    connection.data_received(SIZED)
    await heard

    assert await connection.read() == b"Hello, world"


@pytest.mark.parametrize("left", ["cancelled", "forgotten"])
async def test_a_break_that_nobody_waits_for_is_nobodys_error(left: str) -> None:
    """Who has left in the same turn, or has been thrown away, leaves no error behind."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    connection, transport, _ = make()
    connection.data_received(UNTIL_CLOSE)
    await connection.read()
    reading = connection.read()
    transport.abort()
    if left == "cancelled":
        reading.cancel()
    del reading
    gc.collect()

    assert told == []
    with pytest.raises(UpstreamFailed):
        await connection.read()


async def test_nothing_of_a_lost_connection_waits_for_the_collector() -> None:
    """It and its parser know each other while it lives."""
    connection, transport, lost = make()
    transport.abort()
    lost.clear()
    gone = weakref.ref(connection)
    gc.disable()
    try:
        del connection, transport
        assert gone() is None
    finally:
        gc.enable()
