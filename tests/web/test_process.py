"""The event loop and the collector of a serving process."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Iterator

import pytest
import uvloop
from click.testing import CliRunner

from llm_stream.cli import main
from llm_stream.web.process import list_no_generators, new_event_loop, run_in_loop, settle_memory


@pytest.fixture
def collector() -> Iterator[None]:
    """Afterwards it is as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_what_is_there_at_the_start_is_not_looked_at_again() -> None:
    """The collector leaves it alone, and looks less often."""
    settle_memory()

    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] > 700


@pytest.mark.usefixtures("collector")
def test_a_start_is_not_slowed_by_the_collector() -> None:
    """`serve` has it look less often before anything else, a configuration that is bad included."""
    gc.set_threshold(700)
    done = CliRunner().invoke(main, ["serve", "--config", "/nowhere/at/all.toml"])

    assert done.exit_code == 1
    assert gc.get_threshold()[0] > 700


def test_the_loop_keeps_no_list_of_generators() -> None:
    """What is left of one when the loop ends, it does not know; one that is dropped it closes."""

    async def main() -> None:
        closed = asyncio.Event()

        async def numbers() -> AsyncGenerator[int]:
            try:
                yield 1
            finally:
                closed.set()

        list_no_generators()
        going = numbers()
        await anext(going)
        await asyncio.get_running_loop().shutdown_asyncgens()
        assert not closed.is_set()

        del going
        await closed.wait()

    run_in_loop(main())


def test_it_serves_on_uvloop() -> None:
    """Wherever that is installed, and it is on this platform."""
    loop = new_event_loop()
    loop.close()

    assert isinstance(loop, uvloop.Loop)
