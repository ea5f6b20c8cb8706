"""A service in a thread of the tests' process, for commands that have a loop of their own."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any

from llm_stream.models.adapter import AnyModel
from llm_stream.testing.service import RunningService, running_service
from llm_stream.web.process import new_event_loop

from .conftest import settings


@contextmanager
def threaded_service(*models: AnyModel, **sections: dict[str, Any]) -> Iterator[RunningService]:
    """Serve these models, the one named `scripted` by default, until the block is left."""
    started: Future[tuple[RunningService, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        ending = asyncio.Event()
        async with running_service(settings(**sections), models) as service:
            started.set_result((service, asyncio.get_running_loop(), ending))
            await ending.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(serve())

    thread = Thread(target=run, name="service")
    thread.start()
    service, loop, ending = started.result(20)
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(20)
