"""The fault proxy: each fault as both ends see it, and nothing of it after it is mended."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from llm_stream.testing.faultlink import Direction, Ending, reset
from llm_stream.testing.faultproxy import FaultProxy, fault_proxy

from ..wire import until

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[tuple[Ends, Ends]]]

# The proxy ends connections half-way, which uvloop does not let go of before the loop is closed.
pytestmark = pytest.mark.asyncio_loop

SILENCE_SECONDS = 0.05


@pytest.fixture
async def arrivals() -> AsyncIterator[asyncio.Queue[Ends]]:
    """Connections that have reached the target."""
    queue: asyncio.Queue[Ends] = asyncio.Queue()
    yield queue
    while not queue.empty():
        queue.get_nowait()[1].close()


@pytest.fixture
async def proxy(arrivals: asyncio.Queue[Ends]) -> AsyncIterator[FaultProxy]:
    """A proxy to a target on this machine."""
    target = await asyncio.start_server(lambda *ends: arrivals.put_nowait(ends), "127.0.0.1", 0)
    async with target, fault_proxy(target.sockets[0].getsockname()[1]) as proxy:
        yield proxy


@pytest.fixture
async def connect(proxy: FaultProxy, arrivals: asyncio.Queue[Ends]) -> AsyncIterator[Connect]:
    """Connects through the proxy: both ends, the client's first."""
    async with AsyncExitStack() as stack:

        async def connect() -> tuple[Ends, Ends]:
            client = await asyncio.open_connection("127.0.0.1", proxy.port)
            stack.callback(client[1].close)
            target = await arrivals.get()
            stack.callback(target[1].close)
            return client, target

        yield connect


async def everything(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """What arrives, and how it ends."""
    data = b""
    try:
        while piece := await reader.read(65_536):
            data += piece
    except ConnectionResetError:
        return data, "rst"
    return data, "fin"


async def silent(reader: asyncio.StreamReader) -> bool:
    """Whether nothing arrives for a moment, not even an end."""
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def test_bytes_and_ends_are_carried(connect: Connect) -> None:
    """Without a fault each end reads what the other writes, also after one has said its last."""
    (reader, writer), (target_reader, target_writer) = await connect()
    writer.write(b"ask" * 100_000)
    writer.write_eof()
    asked = await everything(target_reader)
    target_writer.write(b"answer")
    target_writer.close()

    assert asked == (b"ask" * 100_000, "fin")
    assert await everything(reader) == (b"answer", "fin")


async def test_a_reset_is_carried(connect: Connect) -> None:
    """A target that breaks its connection breaks the client's."""
    (reader, _), (_, target_writer) = await connect()
    reset(target_writer)

    assert (await everything(reader))[1] == "rst"


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("count", [1, 1000, 100_000])
async def test_a_cut_is_exact(proxy: FaultProxy, connect: Connect, how: Ending, count: int) -> None:
    """The client gets so many bytes and then the end; the target sees its connection end too."""
    proxy.cut(count, how=how)
    (reader, _), (target_reader, target_writer) = await connect()
    target_writer.write(b"x" * 200_000)

    data, end = await everything(reader)
    assert end == how
    assert len(data) == count
    await everything(target_reader)
    await until(lambda: not proxy.open)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_open_connections_are_cut_at_once(
    proxy: FaultProxy, connect: Connect, how: Ending
) -> None:
    """A cut after nothing waits for no byte."""
    (reader, _), _ = await connect()
    proxy.cut(how=how)

    assert await everything(reader) == (b"", how)


async def test_a_cut_counts_one_direction(proxy: FaultProxy, connect: Connect) -> None:
    """A cut of the way up lets the way down say as much as it likes."""
    proxy.cut(10, direction="up")
    (reader, writer), (target_reader, target_writer) = await connect()
    target_writer.write(b"y" * 50)
    assert await reader.readexactly(50) == b"y" * 50
    writer.write(b"x" * 11)

    assert await everything(target_reader) == (b"x" * 10, "fin")


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_stall_holds_one_direction(
    proxy: FaultProxy, connect: Connect, direction: Direction
) -> None:
    """One way is silent, its end included, the other goes on; mended, all arrives in order."""
    client, target = await connect()
    (held, speaker), (free, other) = (
        ((target[0], client[1]), (client[0], target[1]))
        if direction == "up"
        else ((client[0], target[1]), (target[0], client[1]))
    )
    proxy.stall(direction)
    speaker.write(b"one")
    speaker.write_eof()
    other.write(b"two")
    assert await free.readexactly(3) == b"two"
    assert await silent(held)

    proxy.mend()
    assert await everything(held) == (b"one", "fin")


async def test_a_stall_of_both_ways_looks_open(proxy: FaultProxy, connect: Connect) -> None:
    """Neither end hears of the other, though it has left."""
    (reader, writer), (target_reader, target_writer) = await connect()
    proxy.stall()
    for each in (writer, target_writer):
        each.write(b"x")
        each.write_eof()

    assert await silent(reader)
    assert await silent(target_reader)
    assert proxy.open == 1


async def test_a_stall_pushes_back(proxy: FaultProxy, connect: Connect) -> None:
    """What waits in the proxy is bounded: who goes on writing has to wait."""
    _, (_, target_writer) = await connect()
    proxy.stall("down")
    target_writer.write(b"x" * 50_000_000)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE_SECONDS):
            await target_writer.drain()


async def test_a_throttle_takes_its_time(proxy: FaultProxy, connect: Connect) -> None:
    """So many bytes a second, and as fast as ever once it is mended."""
    (reader, _), (_, target_writer) = await connect()
    loop = asyncio.get_running_loop()
    proxy.throttle(1000)
    began = loop.time()
    target_writer.write(b"x" * 1_000_000)
    await reader.readexactly(100)
    assert 0.05 <= loop.time() - began < 2
    proxy.mend()
    async with asyncio.timeout(5):
        await reader.readexactly(999_900)


async def test_refusing_keeps_open_connections(proxy: FaultProxy, connect: Connect) -> None:
    """Who connects is refused, who is there goes on; accepting again is on the same port."""
    (reader, _), (_, target_writer) = await connect()
    port = proxy.port
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    target_writer.write(b"x")
    assert await reader.readexactly(1) == b"x"

    await proxy.accept()
    assert proxy.port == port
    await connect()
    assert proxy.accepted == 2


async def test_a_target_that_is_gone_is_a_reset(unused_tcp_port: int) -> None:
    """Where nobody listens behind the proxy, its clients' connections break."""
    async with fault_proxy(unused_tcp_port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

        assert await everything(reader) == (b"", "rst")
        writer.close()


async def test_closing_leaves_nothing(proxy: FaultProxy, connect: Connect) -> None:
    """Stalled, throttled and blocked connections end with their proxy, and so do its tasks."""
    before = asyncio.all_tasks()
    for _ in range(3):
        _, (_, target_writer) = await connect()
        target_writer.write(b"x" * 10_000_000)
    proxy.stall("down")
    proxy.throttle(1)
    await proxy.close()

    assert proxy.open == 0
    assert asyncio.all_tasks() <= before


@pytest.mark.parametrize("turns", range(8))
async def test_who_comes_as_it_closes_is_reset(proxy: FaultProxy, turns: int) -> None:
    """However far the loop was with a connection, nobody is left believing that it is there."""
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        await proxy.close()

        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().sock_recv(client, 1)
