"""The pulse: heartbeats in silence, an end for those who do not read."""

import asyncio
from typing import Any

from llm_stream.web.pulse import Pulse


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

    async def beat() -> None:
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
    task = asyncio.create_task(pulse.run())
    await transport.aborted.wait()
    task.cancel()

    assert len(beats) == 3
    assert stalls == []


async def test_a_write_without_progress_is_cut() -> None:
    """A write that waits while the buffer stays full aborts the connection, once."""
    transport = Transport()
    transport.size = 70_000
    pulse, beats, stalls = make(transport)
    pulse.begin()
    await pulse.run()

    assert transport.aborted.is_set()
    assert pulse.stalled
    assert (beats, stalls) == ([], [1])


async def test_slow_progress_is_progress() -> None:
    """As long as bytes leave the buffer, a waiting write is left alone."""
    transport = Transport()
    pulse, _, stalls = make(transport, stall=0.04)
    pulse.begin()
    task = asyncio.create_task(pulse.run())
    end = asyncio.get_running_loop().time() + 0.2
    while asyncio.get_running_loop().time() < end:
        transport.size += 1
        await asyncio.sleep(0)
    task.cancel()

    assert stalls == []


async def test_a_finished_write_is_no_stall() -> None:
    """A full buffer without a waiting write is the kernel's business."""
    transport = Transport()
    transport.size = 70_000
    pulse, beats, stalls = make(transport)
    pulse.begin()
    pulse.end()
    task = asyncio.create_task(pulse.run())
    await transport.aborted.wait()
    task.cancel()

    assert len(beats) == 3
    assert stalls == []
