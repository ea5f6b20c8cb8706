"""benchmarks/speed counts what comes, once, and calls lost what does not."""

import asyncio
from collections.abc import Iterable

import pytest

from benchmarks.speed.readers import Figures, JsonReader, StreamReader
from benchmarks.speed.sockets import IdleSocket, SocketReader, masked, pongs
from benchmarks.speed.systems import NATIVE, OPENAI
from benchmarks.speed.upstream import burst, whole

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TOKEN = b'data: {"run":"run_01","t_ms":7,"type":"text.delta","text":" lorem"}\n\n'
ANSWER = HEAD + TOKEN * 5 + b'data: {"type":"run.completed"}\n\n\r\n0\r\n\r\n'
FRAMES = b'{"stream":"%b","event":{"id":"1-2","run":"run_%b","t_ms":7,"type":"text.delta"}}'
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Wire(asyncio.Transport):
    """Keeps what was written, and tells the reader when it closes."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True


def fed(reader: asyncio.Protocol, pieces: Iterable[bytes], *, lost: bool = True) -> Wire:
    """The reader has got these pieces, and then its connection is gone."""
    wire = Wire()
    reader.connection_made(wire)
    for piece in pieces:
        reader.data_received(piece)
    if lost:
        reader.connection_lost(None)
    return wire


def halves(data: bytes, at: int) -> list[bytes]:
    """The data in two reads."""
    return [data[:at], data[at:]]


async def test_a_token_in_two_reads_is_one() -> None:
    """Wherever an answer is cut in two reads, its five tokens are five and it is whole."""
    for at in range(len(HEAD), len(ANSWER)):
        figures = Figures()

        fed(StreamReader(NATIVE, [b"ask"], figures), halves(ANSWER, at))

        assert (figures.tokens, figures.whole, figures.lost) == (5, 1, 0)


async def test_the_upstreams_own_words_are_counted() -> None:
    """A burst of 200 tokens of the fake upstream is 200 tokens to a reader of OpenAI's format."""
    figures = Figures()

    fed(StreamReader(OPENAI, [b"ask"], figures), [burst(200)])

    assert (figures.tokens, figures.whole) == (200, 1)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(ANSWER[:-3], id="cut"),
        pytest.param(ANSWER.replace(b"run.completed", b"run.failed"), id="failed"),
        pytest.param(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}", id="refused"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_an_answer_that_is_not_whole_is_lost(data: bytes) -> None:
    """A stream that is cut, fails, is refused or never comes is one lost answer."""
    figures = Figures()

    fed(StreamReader(NATIVE, [b"ask"], figures), [data] if data else [])

    assert (figures.whole, figures.lost) == (0, 1)


async def test_requests_that_were_not_asked_any_more_are_lost() -> None:
    """A connection that ends in the first of three streams has lost three."""
    figures = Figures()

    fed(StreamReader(NATIVE, [b"ask"] * 3, figures), [ANSWER[:-3]])

    assert figures.lost == 3


async def test_gaps_are_between_reads_with_tokens() -> None:
    """Three reads with tokens are one first token and two gaps."""
    figures = Figures()

    fed(StreamReader(NATIVE, [b"ask"], figures, gaps=True), [HEAD + TOKEN, TOKEN, b"x", TOKEN])

    assert (len(figures.first), len(figures.gaps)) == (1, 2)


async def test_a_plain_answer_counts_by_its_status() -> None:
    """An answer of 200 is whole, one of 500 is lost, wherever they are cut."""
    figures = Figures()
    bad = whole(3).replace(b"200 OK", b"500 No")

    fed(JsonReader([b"one", b"two"], figures), [*halves(whole(3), 20), *halves(bad, 90)])

    assert (figures.whole, figures.lost) == (1, 1)


@pytest.mark.parametrize("gaps", [False, True])
async def test_tokens_of_a_socket_in_two_reads_are_one(gaps: bool) -> None:
    """Wherever frames of two streams are cut, their four tokens and two ends are that many."""
    one, two = FRAMES % (b"a", b"01"), FRAMES % (b"b", b"02")
    end = b'{"stream":"a","event":{"type":"run.completed","text_chars":12}}'
    data = UPGRADED + one + two + one + two + end * 2
    for at in range(len(UPGRADED), len(data)):
        figures = Figures()

        fed(SocketReader(["x", "y"], "burst-2", figures, gaps=gaps), halves(data, at))

        assert (figures.tokens, figures.whole, figures.lost) == (4, 2, 0)


async def test_gaps_of_a_socket_are_each_streams_own() -> None:
    """Two streams of two tokens, in turn, have two first tokens and two gaps."""
    figures = Figures()
    one, two = FRAMES % (b"a", b"01"), FRAMES % (b"b", b"02")

    fed(SocketReader(["x", "y"], "paced-2", figures, gaps=True), [UPGRADED + one, two, one, two])

    assert (len(figures.first), len(figures.gaps)) == (2, 2)


async def test_a_socket_that_ends_early_has_lost_its_streams() -> None:
    """One of two streams has ended when the socket does: the other is lost."""
    figures = Figures()
    end = b'{"stream":"a","event":{"type":"run.completed"}}'

    fed(SocketReader(["x", "y"], "burst-2", figures), [UPGRADED + end])

    assert (figures.whole, figures.lost) == (1, 1)


async def test_an_idle_socket_answers_pings() -> None:
    """A ping behind a long frame is answered with its own bytes; the socket counts as alive."""
    socket = IdleSocket()
    welcome = b"\x81\x7e\x00\x80" + b"x" * 128

    wire = fed(socket, [UPGRADED + welcome, welcome + b"\x89\x02hi"], lost=False)

    assert wire.sent[-1] == masked(b"hi", 0x8A)
    assert socket.alive


async def test_an_idle_socket_that_is_refused_is_not_alive() -> None:
    """A handshake that is answered with 429 opens no socket."""
    socket = IdleSocket()

    fed(socket, [b"HTTP/1.1 429 Too Many Requests\r\n\r\n"], lost=False)

    assert socket.open.done()
    assert not socket.alive


def test_only_pings_are_answered() -> None:
    """Text, pongs and half a header are no pings."""
    assert pongs(b"\x81\x02hi\x8a\x00\x89") == b""


def test_a_long_command_has_a_long_head() -> None:
    """From 126 bytes on a client's frame has its length in two bytes."""
    frame = masked(b"x" * 300)

    assert frame[:8] == b"\x81\xfe\x01\x2c\0\0\0\0"
    assert frame[-1] == ord("x")
