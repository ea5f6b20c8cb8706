"""The mock providers as a process of their own."""

import asyncio
import signal
from collections.abc import Callable

from llm_stream.testing.mockproviders.script import ScriptFile
from llm_stream.testing.mockproviders.server import MockProviders


def serve(port: int, script: ScriptFile, started: Callable[[MockProviders], None]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        port: 0 = any free one.
        script: what is said, and the seed of the rest.
        started: called once they listen.

    Raises:
        OSError: the port is taken.
    """
    asyncio.run(_serve(port, script, started))


async def _serve(port: int, script: ScriptFile, started: Callable[[MockProviders], None]) -> None:
    mocks = MockProviders(script.models, script.seed)
    await mocks.start(port)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        started(mocks)
        await stopped.wait()
    finally:
        await mocks.close()
