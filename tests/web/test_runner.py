"""The runner: connections of ours on one socket, and nothing left of it afterwards."""

import asyncio

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from llm_stream.config import ServerSection
from llm_stream.web.connection import Connection, Watch
from llm_stream.web.runner import Runner
from llm_stream.web.server import listen


def make() -> tuple[Runner, Watch]:
    """A runner of an application that says whether its connection is one of ours."""

    async def tell(request: web.Request) -> web.Response:
        return web.Response(text=str(isinstance(request.protocol, Connection)))

    app = web.Application()
    app.router.add_get("/", tell)
    counters = [Counter(name, "x", registry=CollectorRegistry()) for name in ("late", "stalled")]
    watch = Watch(ServerSection(), *counters)
    return Runner(app, watch), watch


async def test_connections_are_ours_until_the_cleanup(http: aiohttp.ClientSession) -> None:
    """Each is watched while it is open; afterwards neither a task nor a socket is left."""
    runner, watch = make()
    await runner.setup()
    bound = listen("127.0.0.1", 0, 65_536)
    await runner.listen(bound)
    async with http.get(f"http://127.0.0.1:{bound.getsockname()[1]}/") as response:
        assert await response.text() == "True"
    assert len(watch.connections) == 1
    await runner.cleanup()

    assert watch.connections == set()
    assert bound.fileno() == -1
    assert "connections" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_listening_comes_after_the_setup() -> None:
    """Before it there is no server that could be given connections."""
    runner, _ = make()
    with listen("127.0.0.1", 0, 65_536) as bound, pytest.raises(RuntimeError, match="setup"):
        await runner.listen(bound)
