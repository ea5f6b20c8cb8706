"""The loop and the collector of a serving process."""

import asyncio
import gc
from collections.abc import Iterator

import pytest
import uvloop

from llm_stream.web.process import run_in_loop, settle_memory


@pytest.fixture
def collector() -> Iterator[None]:
    """Afterwards it is as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_a_process_serves_on_uvloop() -> None:
    """Where it is installed."""

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert isinstance(run_in_loop(loop()), uvloop.Loop)


async def test_tests_run_on_the_loop_that_serves() -> None:
    """What is shown here holds there."""
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)


@pytest.mark.usefixtures("collector")
def test_what_is_there_at_the_start_is_not_looked_at_again() -> None:
    """The collector leaves it alone, and looks less often."""
    settle_memory()

    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] > 700
