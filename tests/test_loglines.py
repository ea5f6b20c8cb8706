"""Lines of the log on their way out: together, in order, and none lost."""

import asyncio
import io
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from llm_stream import logs
from llm_stream.loglines import Lines


class Writes(io.StringIO):
    """A stream that knows what each write was."""

    def __init__(self) -> None:
        super().__init__()
        self.each: list[str] = []

    def write(self, text: str) -> int:
        """One more."""
        self.each.append(text)
        return super().write(text)

    @property
    def events(self) -> list[str]:
        """What the lines so far tell of."""
        return [line.split('"')[3] for line in self.getvalue().splitlines()]


@pytest.fixture
def stream(configure: Any) -> Iterator[Writes]:
    """Where the log goes."""
    before = Lines.stream
    configure()
    found = Writes()
    logs.configure("info", "json", found)
    yield found
    Lines.stream = before


async def test_lines_of_a_turn_are_one_write(stream: Writes) -> None:
    """Nothing is written before the turn ends, and then all of it at once."""
    log = structlog.get_logger("ours")
    log.info("first")
    log.info("second")
    assert stream.each == []

    await asyncio.sleep(0)

    assert len(stream.each) == 1
    assert stream.events == ["first", "second"]


@pytest.mark.parametrize("name", ["structlog", "logging"])
async def test_a_warning_waits_for_nothing_and_overtakes_nothing(stream: Writes, name: str) -> None:
    """It is there at once, behind what was told before it, by whichever library."""
    log = structlog.get_logger("ours")
    loud = log if name == "structlog" else logging.getLogger("theirs")
    log.info("first")
    loud.warning("second")
    assert stream.events == ["first", "second"]

    log.info("third")
    await asyncio.sleep(0)

    assert stream.events == ["first", "second", "third"]


def test_a_loop_that_ends_at_once_loses_no_line(stream: Writes) -> None:
    """What its last turn told is written with what is told next, on whichever loop."""
    log = structlog.get_logger("ours")
    ended = asyncio.new_event_loop()
    ended.call_soon(log.info, "first")
    ended.call_soon(ended.stop)
    ended.run_forever()
    ended.close()
    assert stream.each == []

    async def tell() -> None:
        log.info("second")

    asyncio.run(tell())

    assert stream.events == ["first", "second"]


async def test_threads_write_what_waits(stream: Writes) -> None:
    """A thread without a loop has nobody who would write its lines later."""
    log = structlog.get_logger("ours")
    log.info("first")
    thread = threading.Thread(target=log.info, args=("second",))
    thread.start()
    thread.join()

    assert stream.events == ["first", "second"]
