"""The pulse: heartbeats in silence, an end for those who do not read."""

import asyncio
from typing import Any

import pytest

from llm_stream.web.pulse import Peer, Pulse, look

from ..peers import connect, deafen


class Transport:
    """A transport with a buffer a test fills."""

    def __init__(self) -> None:
        self.size = 0
        self.aborted = asyncio.Event()

    def get_extra_info(self, name: str) -> None:
        """It has no socket."""

    def get_write_buffer_size(self) -> Any:
        return self.size

    def abort(self) -> None:
        self.aborted.set()


def make(transport: Any, heartbeat: Any = 0.02, stall: Any = 0.04) -> Any:
    """A pulse and what it has done."""
    beats, stalls = [], []

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            transport.aborted.set()

    pulse = Pulse(
        transport, heartbeat_seconds=heartbeat, stall_seconds=stall, beat=beat,
        on_stall=lambda: stalls.append(1),
    )  # fmt: skip
    return pulse, beats, stalls


async def test_silence_beats() -> None:
    """While nothing is written a heartbeat goes out each period."""
    transport = Transport()
    pulse, beats, stalls = make(transport)
    pulse.start()
    await transport.aborted.wait()
    pulse.stop()

    assert len(beats) == 3
    assert stalls == []


async def test_a_write_without_progress_is_cut() -> None:
    """A write that waits while the buffer stays full aborts the connection, once."""
    transport = Transport()
    transport.size = 70_000
    pulse, beats, stalls = make(transport)
    pulse.begin()
    pulse.start()
    await transport.aborted.wait()

    assert pulse.stalled
    assert (beats, stalls) == ([], [1])


async def test_slow_progress_is_progress() -> None:
    """As long as bytes leave the buffer, a waiting write is left alone."""
    transport = Transport()
    transport.size = 1_000_000
    pulse, _, stalls = make(transport, stall=0.04)
    pulse.begin()
    pulse.start()
    end = asyncio.get_running_loop().time() + 0.2
    while asyncio.get_running_loop().time() < end:
        transport.size -= 1
        await asyncio.sleep(0)
    pulse.stop()

    assert stalls == []


async def test_a_first_look_that_is_late_blames_nobody() -> None:
    """What has left the buffer since the write began is progress, however late the loop looks."""
    transport = Transport()
    transport.size = 1_000_000
    pulse, _, stalls = make(transport, stall=0)  # over before any look
    pulse.begin()
    pulse.start()
    for _ in range(20):
        transport.size -= 1
        await asyncio.sleep(0)
    pulse.stop()

    assert stalls == []


async def test_what_others_add_is_no_progress() -> None:
    """A buffer that only grows, by pings say, is not one that is read from."""
    transport = Transport()
    pulse, _, stalls = make(transport, stall=0.04)
    pulse.begin()
    pulse.start()
    while not transport.aborted.is_set():
        transport.size += 1
        await asyncio.sleep(0)

    assert stalls == [1]


async def test_a_finished_write_is_no_stall() -> None:
    """A full buffer without a waiting write is the kernel's business."""
    transport = Transport()
    transport.size = 70_000
    pulse, beats, stalls = make(transport)
    pulse.begin()
    pulse.end()
    pulse.start()
    await transport.aborted.wait()
    pulse.stop()

    assert len(beats) == 3
    assert stalls == []


@pytest.mark.slow
async def test_a_deaf_peer_is_cut() -> None:
    """Whose system acknowledges no heartbeat is aborted, though no write waits; who does is not."""
    loop = asyncio.get_running_loop()
    made: asyncio.Queue[asyncio.Transport] = asyncio.Queue()

    class Accepting(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            made.put_nowait(transport)

    async with await loop.create_server(Accepting, "127.0.0.1", 0) as server:
        with connect(server.sockets[0].getsockname()[1]) as peer:
            transport = await made.get()
            transport.write(b"heard")
            while look(transport).taken_bytes < 5:
                await asyncio.sleep(0)
            assert look(transport) == Peer(0.0, 5)
            deafen(peer)
            stalls: list[int] = []

            def beat() -> None:
                transport.write(b"beat")

            pulse = Pulse(
                transport, heartbeat_seconds=0.1, stall_seconds=1, beat=beat,
                on_stall=lambda: stalls.append(1),
            )  # fmt: skip
            pulse.start()
            async with asyncio.timeout(10):
                while not pulse.stalled:
                    await asyncio.sleep(0)

            assert (pulse.stalled, stalls) == (True, [1])
            assert transport.is_closing()
            assert look(transport) == Peer()


async def test_a_heartbeat_that_finds_no_room_is_cut() -> None:
    """It may be the write that fills the last room there was: the watch goes on beside it."""
    transport, stalls = Transport(), list[int]()

    def beat() -> None:
        pulse.begin()
        transport.size = 100

    pulse = Pulse(
        transport, heartbeat_seconds=0.02, stall_seconds=0.04, beat=beat,  # type: ignore[arg-type]
        on_stall=lambda: stalls.append(1),
    )  # fmt: skip
    pulse.start()
    await transport.aborted.wait()

    assert stalls == [1]


async def test_one_that_is_stopped_beats_no_more() -> None:
    """Nor does it keep whoever wrote."""
    transport = Transport()
    pulse, beats, _ = make(transport)
    pulse.start()
    pulse.stop()
    pulse.stop()
    loop = asyncio.get_running_loop()
    later = loop.create_future()
    loop.call_later(0.05, later.set_result, None)
    await later

    assert beats == []
